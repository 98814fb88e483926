// `kedge generate`: one prompt to a running router.
//
// Tested by client_test.cc.
#include <memory>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_flow.h"
#include "cli/generate_options.h"
#include "cli/router_access.h"
#include "common/rpc/signals.h"

namespace kedge {
namespace {

struct Options {
  RouterAccess router;
  PromptOptions prompt;
  SamplingOptions sampling;
  AnswerFormat format = AnswerFormat::kText;
};

int Generate(Options options) {
  if (absl::Status status = ReadPrompt(&options.prompt); !status.ok()) {
    SayError(status);
    return kExitFailed;
  }
  StopSignals signals;
  const absl::StatusOr<std::unique_ptr<Client>> client = Connect(options.router);
  absl::Status status = client.status();
  if (status.ok()) {
    status = GenerateAndPrint(options.prompt, options.sampling, options.format, client->get(), &signals);
  }
  if (status.ok()) return kExitOk;
  SayError(status);
  return kExitFailed;
}

}  // namespace

void AddGenerateCommand(CLI::App* app, Action* action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("generate", "Generate text with a running cluster");
  AddRouterOption(command, &options->router);
  AddPromptOptions(command, &options->prompt);
  command->add_option("--policy", options->sampling.call.policy, "Anchor policy (default: the cluster's)")
      ->type_name("SPEC");
  AddSamplingOptions(command, &options->sampling);
  AddFormatOption(command, kAnswerFormatHelp, &options->format);
  command->callback([options, action] { *action = [options] { return Generate(*options); }; });
}

}  // namespace kedge
