// `kedge serve router|prefill|decode`: becomes that server. Its flags are its own: nothing is parsed here.
//
// Tested by main_test.sh.
#include <signal.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/child_process.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/default_model.h"
#include "common/rpc/signals.h"

namespace kedge {
namespace {

int Serve(const std::string& role, std::vector<std::string> arguments) {
  auto any = [&arguments](auto accepts) { return std::any_of(arguments.begin(), arguments.end(), accepts); };
  const bool only_asks =
      any([](const std::string& word) { return word == "--help" || word == "-h" || word == "--version"; });
  const bool has_model =
      any([](const std::string& word) { return word == "--model" || absl::StartsWith(word, "--model="); });
  if (!only_asks && !has_model) {
    StopSignals signals;
    absl::StatusOr<std::string> model = ModelOrDefault("", [&signals] { return signals.stopped(); });
    if (!model.ok()) {
      SayError(model.status());
      return kExitFailed;
    }
    arguments.insert(arguments.end(), {"--model", *model});
  }
  for (int number : {SIGPIPE, SIGXFSZ}) signal(number, SIG_DFL);  // ignored signals stay so through exec
  SayError(BecomeProgram(absl::StrCat("kedge-", role), std::move(arguments)));
  return kExitFailed;
}

}  // namespace

void AddServeCommand(CLI::App* app, Action* action) {
  CLI::App* command = app->add_subcommand("serve", "Start one server: for clusters over several machines");
  command->require_subcommand(1);
  struct Role {
    const char* name;
    const char* what;
  };
  for (const Role& role : {Role{"router", "Takes requests of clients and places them"},
                           Role{"prefill", "Reads prompts"}, Role{"decode", "Writes answers"}}) {
    CLI::App* server = command->add_subcommand(role.name, absl::StrCat(role.what, "; --help shows its flags"));
    server->prefix_command();
    server->set_help_flag();  // --help is the server's
    server->callback([server, action, name = std::string(role.name)] {
      *action = [name, arguments = server->remaining()] { return Serve(name, arguments); };
    });
  }
}

}  // namespace kedge
