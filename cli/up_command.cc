// `kedge up`: a cluster until Ctrl-C.
//
// Tested, with the real processes, by the tests in tests/.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/local_cluster.h"
#include "common/rpc/signals.h"

namespace kedge {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(200);

// A node that dies is the router's business (it goes on with the others); without the router there is no cluster.
int Watch(Cluster* cluster, const StopSignals& signals) {
  while (!signals.WaitFor(kWatchInterval)) {
    for (const Cluster::Ended& ended : cluster->Poll()) {
      Say(absl::StrCat(ended.name, " ended with ", ended.how, "; log: ", ended.log));
      if (ended.name == "router") return kExitFailed;
    }
  }
  Say("stopping");
  return kExitOk;
}

int Up(const LocalClusterOptions& options) {
  StopSignals signals;
  absl::StatusOr<Cluster> cluster = StartLocalCluster(options, kDefaultPort, signals);
  if (!cluster.ok()) {
    if (signals.stopped()) return kExitOk;  // Ctrl-C is how this command ends, also before it is ready
    SayError(cluster.status());
    return kExitFailed;
  }
  const std::string address = cluster->LocalAddress();
  WriteOut(absl::StrCat("ready ", cluster->address(), "\n\n  ./kedge chat --router ", address,
                        "\n  ./kedge generate --router ", address, " --prompt 'What is an anchor?'\n",
                        "  grpcurl -plaintext -d '{\"text\": \"An anchor is\"}' ", address,
                        " kedge.inference.v1.InferenceService/GenerateStream\n\n"));
  int exit_code = Watch(&*cluster, signals);
  cluster->Stop();
  return exit_code;
}

}  // namespace

void AddUpCommand(CLI::App* app, Action* action) {
  auto options = std::make_shared<LocalClusterOptions>();
  CLI::App* command = app->add_subcommand("up", "Start a cluster here and keep it until Ctrl-C");
  AddLocalClusterOptions(command, absl::StrCat(kDefaultPort, ", or the next free one"), options.get());
  command->callback([options, action] { *action = [options] { return Up(*options); }; });
}

}  // namespace kedge
