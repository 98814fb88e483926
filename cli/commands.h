// The tool's commands. Each lies in its own NAME_command.cc, adds itself to the parser, and is listed in main.cc.
#ifndef KEDGE_CLI_COMMANDS_H_
#define KEDGE_CLI_COMMANDS_H_

#include <functional>

#include "CLI/CLI.hpp"

namespace kedge {

// Exit codes of every command.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// What the parsed command line asks for; returns the exit code. Runs once, after the parser has accepted everything.
using Action = std::function<int()>;

// Each adds one subcommand to `app`; when the command line names it, its parser callback sets `*action`.
// `action` must outlive the parsing.
void AddRunCommand(CLI::App* app, Action* action);
void AddUpCommand(CLI::App* app, Action* action);
void AddServeCommand(CLI::App* app, Action* action);
void AddGenerateCommand(CLI::App* app, Action* action);
void AddChatCommand(CLI::App* app, Action* action);
void AddHealthCommand(CLI::App* app, Action* action);
void AddNodesCommand(CLI::App* app, Action* action);
void AddCertsCommand(CLI::App* app, Action* action);
void AddKeyCommand(CLI::App* app, Action* action);
void AddModelCommand(CLI::App* app, Action* action);
void AddScoreCommand(CLI::App* app, Action* action);
void AddEvalCommand(CLI::App* app, Action* action);
void AddCalibrateCommand(CLI::App* app, Action* action);
void AddBenchCommand(CLI::App* app, Action* action);
void AddDoctorCommand(CLI::App* app, Action* action);

}  // namespace kedge

#endif  // KEDGE_CLI_COMMANDS_H_
