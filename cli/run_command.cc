// `kedge run`: a cluster, one answer, and an end without remains. The README's first command.
//
// Tested by tests/chat_test.py and tests/cluster_test.py.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_flow.h"
#include "cli/generate_options.h"
#include "cli/local_cluster.h"
#include "common/rpc/signals.h"

namespace kedge {
namespace {

struct Options {
  LocalClusterOptions cluster;
  PromptOptions prompt;
  SamplingOptions sampling;
  AnswerFormat format = AnswerFormat::kText;
};

int Run(Options options) {
  if (absl::Status status = ReadPrompt(&options.prompt); !status.ok()) {
    SayError(status);
    return kExitFailed;
  }
  StopSignals signals;
  absl::StatusOr<Cluster> cluster = StartLocalCluster(options.cluster, /*default_port=*/0, signals);
  if (!cluster.ok()) {
    SayError(cluster.status());
    return kExitFailed;
  }
  Client client(cluster->LocalAddress());
  absl::Status status = GenerateAndPrint(options.prompt, options.sampling, options.format, &client, &signals);
  if (!status.ok()) {
    SayError(status);
    for (const Cluster::Ended& ended : cluster->Poll()) {
      Say(ended.ToString());
    }
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace

void AddRunCommand(CLI::App* app, Action* action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("run", "Start a cluster here, generate one answer, and stop it");
  AddPromptOptions(command, &options->prompt);
  AddSamplingOptions(command, &options->sampling);
  AddFormatOption(command, kAnswerFormatHelp, &options->format);
  AddLocalClusterOptions(command, "any free one", &options->cluster);
  command->callback([options, action] { *action = [options] { return Run(*options); }; });
}

}  // namespace kedge
