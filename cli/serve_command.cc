// `kedge serve router|prefill|decode`: becomes that server. Its flags are its own: here only the name of a model
// becomes its path.
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
#include "cli/model_fetch.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/rpc/signals.h"

namespace kedge {
namespace {

// The value of --model in either of its forms; null without one.
std::string* ModelValue(std::vector<std::string>& arguments, size_t* prefix) {
  constexpr absl::string_view kFlag = "--model";
  for (size_t i = 0; i < arguments.size(); ++i) {
    *prefix = 0;
    if (arguments[i] == kFlag) return i + 1 < arguments.size() ? &arguments[i + 1] : nullptr;
    *prefix = kFlag.size() + 1;
    if (absl::StartsWith(arguments[i], "--model=")) return &arguments[i];
  }
  return nullptr;
}

// Names become paths: the servers know files alone.
absl::Status ResolveModel(std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments.back() == "--model") return absl::OkStatus();  // the server says what is missing
  StopSignals signals;
  size_t prefix = 0;
  std::string* const given = ModelValue(arguments, &prefix);
  const std::string model = given == nullptr ? "" : given->substr(prefix);
  if (given != nullptr && model.empty()) return absl::OkStatus();  // the server says so
  const absl::StatusOr<std::string> path = FindModel(model, [&signals] { return signals.stopped(); });
  if (absl::IsNotFound(path.status())) return OfField("--model", path.status());
  KEDGE_RETURN_IF_ERROR(path.status());
  if (given == nullptr) {
    arguments.insert(arguments.end(), {"--model", *path});
  } else {
    given->replace(prefix, std::string::npos, *path);
  }
  return absl::OkStatus();
}

int Serve(const std::string& role, std::vector<std::string> arguments) {
  const bool only_asks = std::any_of(arguments.begin(), arguments.end(), [](const std::string& word) {
    return word == "--help" || word == "-h" || word == "--version";
  });
  if (!only_asks) {
    if (const absl::Status status = ResolveModel(arguments); !status.ok()) {
      SayError(status);
      return kExitFailed;
    }
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
