// `kedge up`: a cluster until Ctrl-C.
//
// Tested, with the real processes, by tests/cluster_test.py and tests/machine_test.py.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/local_cluster.h"
#include "common/rpc/flags.h"
#include "common/rpc/signals.h"

namespace kedge {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(200);

// A node that dies is the router's business (it goes on with the others); without the router there is no cluster.
int Watch(Cluster* cluster, const StopSignals& signals) {
  while (!signals.WaitFor(kWatchInterval)) {
    for (const Cluster::Ended& ended : cluster->Poll()) {
      Say(ended.ToString());
      if (ended.name == "router") return kExitFailed;
    }
  }
  return kExitOk;
}

// A second signal ends the wait.
void Stop(Cluster* cluster, absl::Duration drain, const StopSignals& signals) {
  const int seen = signals.count();
  Say(absl::StrCat("stopping; answers under way have ", absl::FormatDuration(drain), " (again: at once)"));
  cluster->Stop([&signals, seen] { return signals.count() > seen; });
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
                        "\n  ./kedge generate --router ", address, " 'What is an anchor?'\n  ./kedge nodes --router ",
                        cluster->cluster_address(), "\n",
                        "  grpcurl -plaintext -d '{\"text\": \"An anchor is\", \"samplingParams\": {\"temperature\": 0}}' ", address,
                        " kedge.inference.v1.InferenceService/GenerateStream\n\n"));
  const int exit_code = Watch(&*cluster, signals);
  if (exit_code == kExitOk) Stop(&*cluster, absl::Seconds(options.drain_seconds), signals);
  return exit_code;
}

}  // namespace

void AddUpCommand(CLI::App* app, Action* action) {
  auto options = std::make_shared<LocalClusterOptions>();
  CLI::App* command = app->add_subcommand("up", "Start a cluster here and keep it until Ctrl-C");
  options->drain_seconds = 10;
  AddLocalClusterOptions(command, absl::StrCat(kDefaultPort, ", or the next free one"), options.get());
  command->add_option("--drain", options->drain_seconds, "Seconds that answers under way get at the end")
      ->check(Number(0, 86400))
      ->type_name("SECONDS")
      ->capture_default_str();
  command->callback([options, action] { *action = [options] { return Up(*options); }; });
}

}  // namespace kedge
