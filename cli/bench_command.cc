// `kedge bench`: how fast it is. `peers` and `compare` build other programs first and belong to the launcher, as `test`
// does; here they are only named.
//
// Tested by main_test.sh and tests/bench_test.py.
#include "cli/bench_command.h"

#include <string>
#include <utility>
#include <vector>

#include "cli/child_process.h"
#include "cli/console.h"

namespace kedge {
namespace {

// A program of its own: it stands on Google Benchmark, which nothing that serves needs.
int Kernels(std::vector<std::string> arguments) {
  SayError(BecomeProgram("kedge-bench-kernels", std::move(arguments)));
  return kExitFailed;
}

}  // namespace

void AddBenchCommand(CLI::App* app, Action* action) {
  CLI::App* command = app->add_subcommand("bench", "Measure speed: of kernels, of the engine, of a cluster under load");
  command->require_subcommand(1);
  AddBenchEngine(command, action);
  AddBenchServe(command, action);
  AddBenchRouter(command, action);
  AddBenchChat(command, action);
  CLI::App* kernels = command->add_subcommand(
      "kernels", "Each kernel beside what this machine reaches in plain loops; --help shows its flags");
  kernels->prefix_command();
  kernels->set_help_flag();  // --help is the program's
  kernels->callback([kernels, action] { *action = [arguments = kernels->remaining()] { return Kernels(arguments); }; });
  command->footer(
      "./kedge bench peers [OPTIONS] builds llama.cpp in the cache directory and measures both, one after the other.\n"
      "./kedge bench compare A [B] [OPTIONS] measures two commits, or one and the sources as they are.");
}

}  // namespace kedge
