// What `up` and `run` share: the options of a cluster on this machine, and starting it.
#ifndef KEDGE_CLI_LOCAL_CLUSTER_H_
#define KEDGE_CLI_LOCAL_CLUSTER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "cli/cluster.h"
#include "common/rpc/signals.h"

namespace kedge {

// As given on the command line.
struct LocalClusterOptions {
  int num_prefill = 1;
  int num_decode = 1;
  int port = 0;  // 0: not given
  std::string host = "127.0.0.1";
  std::string model;
  std::string adapter;
  std::string policy;
  std::string chat_template;
  std::string kv_type;
  std::string backend = "cpu";
  std::string devices;
  int threads = 0;
  uint64_t kv_memory_mib = 0;
  std::optional<uint64_t> cache_memory_mib;
  std::optional<uint64_t> held_memory_mib;
  double drain_seconds = 0;  // of `up` alone: whoever else starts a cluster is its only client
};

// `port_help` says which port is taken when none is given.
void AddLocalClusterOptions(CLI::App* command, const std::string& port_help, LocalClusterOptions* options);

// Gets the model, calibrates it if the policy needs that, starts the processes beside our own program, and returns once
// an answer can be given.
// `default_port` is for options without --port: it or the next free one; 0: any. REQUIRES: called on the main thread.
absl::StatusOr<Cluster> StartLocalCluster(const LocalClusterOptions& options, int default_port,
                                          const StopSignals& signals);

}  // namespace kedge

#endif  // KEDGE_CLI_LOCAL_CLUSTER_H_
