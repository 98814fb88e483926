// The parts of `kedge bench` that need a file of their own.
#ifndef KEDGE_CLI_BENCH_COMMAND_H_
#define KEDGE_CLI_BENCH_COMMAND_H_

#include "CLI/CLI.hpp"
#include "cli/commands.h"

namespace kedge {

// Each adds one subcommand to `bench`, as commands.h says of commands.
void AddBenchChat(CLI::App* bench, Action* action);
void AddBenchEngine(CLI::App* bench, Action* action);
void AddBenchRouter(CLI::App* bench, Action* action);
void AddBenchServe(CLI::App* bench, Action* action);

}  // namespace kedge

#endif  // KEDGE_CLI_BENCH_COMMAND_H_
