// A whole cluster on this machine: one router and its nodes as processes.
#ifndef KEDGE_CLI_CLUSTER_H_
#define KEDGE_CLI_CLUSTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/child_log.h"
#include "cli/child_process.h"
#include "cli/log_directory.h"

namespace kedge {

inline constexpr int kDefaultPort = 50051;

struct ClusterOptions {
  // Where clients reach the router.
  std::string host = "127.0.0.1";
  // 0: any free port.
  int port = 0;
  // Whether the next free port will do when `port` is taken.
  bool next_free_port = false;

  int num_prefill = 1;
  int num_decode = 1;
  std::string model;           // path
  std::string adapter;         // path; empty: none
  std::string policy;          // empty: the adapter's, else the model's
  std::string chat_template;   // a file; empty: the model's
  std::string kv_type;         // empty: the nodes' default
  std::string backend;         // empty: the nodes' default
  std::vector<int> devices;    // the GPU of each prefill node, then of each decode node; empty: the nodes' default
  int threads = 0;             // of each node; 0: see DefaultThreads
  uint64_t kv_memory_mib = 0;  // of each node; 0: see DefaultKvMemoryMib
  // Of it, for rows of earlier requests; 0: none. Without: the nodes' default.
  std::optional<uint64_t> cache_memory_mib;
  std::optional<uint64_t> held_memory_mib;  // of decode nodes
  // SalienceHeadsText; empty: nodes find them by themselves.
  std::string salience_heads;

  // Where kedge-router, kedge-prefill and kedge-decode lie.
  std::string program_directory;
  // Receives router.log, prefill-0.log and so on; null: nothing is kept.
  std::shared_ptr<const LogDirectory> logs;
  // How long requests may take to end when the cluster is stopped.
  absl::Duration drain = absl::ZeroDuration();
  // How long the processes may take until an answer can be given, and how often it is said what is waited for.
  absl::Duration start_timeout = absl::Minutes(10);
  absl::Duration notice_interval = absl::Seconds(5);
};

// What the router says about itself.
struct ClusterView {
  bool serving = false;
  std::vector<std::string> ready_nodes;  // ids
};
// Where a router listens, each HOST:PORT: for clients, and for nodes and who looks after them.
struct RouterAddresses {
  std::string clients;
  std::string cluster;
};
// Asks the router there. An error means: not yet.
using ClusterProbe = std::function<absl::StatusOr<ClusterView>(const RouterAddresses& addresses)>;

// Owns the processes: the destructor stops them. They also end when this process dies, however that comes.
// Owned by one thread, which must be the main thread (see ChildProcess).
class Cluster {
 public:
  // Returns once an answer can be given: the router serves and each node is ready. Without decode nodes of its own it
  // returns once the router answers. Says from time to time which process it waits for, and where that one's log is.
  // kUnavailable, with the last lines that it said, when a process ends before; kAlreadyExists when a port that was
  // asked for is taken; kCancelled soon after `cancelled` turns true; kDeadlineExceeded.
  static absl::StatusOr<Cluster> Start(const ClusterOptions& options, const ClusterProbe& probe,
                                       const std::function<bool()>& cancelled);
  ~Cluster();
  Cluster(Cluster&&) = default;
  Cluster& operator=(Cluster&&) = delete;

  // HOST:PORT as it was bound.
  const std::string& address() const { return address_; }
  // The same for a client on this machine: loopback where the host is a wildcard.
  std::string LocalAddress() const;
  // Of the router's listener for nodes, on the loopback.
  const std::string& cluster_address() const { return cluster_address_; }

  // What the router's process has computed.
  absl::StatusOr<absl::Duration> RouterCpuTime() const { return members_.front().process.CpuTime(); }

  // A process that has ended on its own since the last look.
  struct Ended {
    std::string name;  // "router", "decode-0"
    std::string how;   // "exit code 1"
    std::string said;  // where the log is, or its last lines
    std::string ToString() const { return absl::StrCat(name, " ended with ", how, "; ", said); }
  };
  std::vector<Ended> Poll();

  // SIGTERM to the router, which takes no more requests and lets those under way end within ClusterOptions::drain; then
  // to the nodes; SIGKILL to what is left after 5 s more, or at once when `hurry` turns true. Idempotent.
  void Stop(const std::function<bool()>& hurry = [] { return false; });

 private:
  struct Member {
    std::string name;
    std::unique_ptr<ChildLog> log;
    ChildProcess process;
    bool reported = false;
  };

  class StartWait;

  explicit Cluster(ClusterOptions options) : options_(std::move(options)) {}
  absl::Status StartRouter(StartWait& wait);
  size_t NodesOnDevice(int device) const;
  absl::Status StartNodes();
  absl::Status WaitUntilReady(const ClusterProbe& probe, StartWait& wait);
  // `shared_file`: see ChildOptions.
  absl::Status StartMember(const std::string& name, const std::string& program, std::vector<std::string> arguments,
                           int shared_file = -1);
  // The failure of the first member that has ended, with the end of its log.
  absl::Status CheckMembers();
  std::string LogPath(const std::string& name) const;
  // Where its log is, or, without one, its last lines. Without one it may take a moment while the process runs.
  std::string WhatItSaid(const Member& member) const;
  // Whether `done` came true in time.
  template <typename Done>
  static bool WaitFor(absl::Duration time, const std::function<bool()>& hurry, Done done);

  ClusterOptions options_;
  // Whether logs are written whole; once false, it has been said. Shared with the threads that write them.
  std::shared_ptr<std::atomic<bool>> logs_whole_ = std::make_shared<std::atomic<bool>>(true);
  std::vector<Member> members_;  // the router first
  std::string address_;
  std::string cluster_address_;
};

// Threads of each node when nobody said: all cores, shared between the nodes of one kind. Prefill and decode nodes
// take turns more than they compete, so each kind may use all cores. At least 1.
int DefaultThreads(int cores, int num_prefill, int num_decode);

// MiB for KV rows of each node when nobody said: what two nodes would take by themselves (`node_default` bytes each,
// see DefaultKvBytes), shared between all, so that many nodes don't promise more memory than there is. At least 64.
uint64_t DefaultKvMemoryMib(uint64_t node_default, int num_nodes);

}  // namespace kedge

#endif  // KEDGE_CLI_CLUSTER_H_
