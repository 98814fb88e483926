// `kedge health`: can text be generated now? For scripts and container probes.
//
// Tested by client_test.cc.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/router_access.h"
#include "common/rpc/flags.h"

namespace kedge {
namespace {

int CheckHealth(const RouterAccess& router, double timeout_seconds) {
  const absl::StatusOr<std::unique_ptr<Client>> client = Connect(router);
  const absl::StatusOr<std::string> health =
      client.ok() ? (*client)->Health(absl::Seconds(timeout_seconds)) : client.status();
  if (!health.ok()) {
    SayError(health.status());
    return kExitFailed;
  }
  WriteOut(absl::StrCat(*health, "\n"));
  return *health == "SERVING" ? kExitOk : kExitFailed;
}

}  // namespace

void AddHealthCommand(CLI::App* app, Action* action) {
  struct Options {
    RouterAccess router;
    double timeout_seconds = 10;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("health", "Say whether a cluster can answer: exit code 0 if it is SERVING");
  AddRouterOption(command, &options->router);
  command->add_option("--timeout", options->timeout_seconds, "Seconds to wait for the router")
      ->check(Number(0.001, 1e6))
      ->capture_default_str();
  command->callback(
      [options, action] { *action = [options] { return CheckHealth(options->router, options->timeout_seconds); }; });
}

}  // namespace kedge
