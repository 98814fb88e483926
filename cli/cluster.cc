// Everything is observed, nothing is guessed: the router's ports are those that it tells us through a pipe after it has
// bound them, nodes bind port 0 and tell the router where they are, and readiness is what the router says. So clusters
// that start side by side can't take each other's ports between a look and a use, and nothing depends on a disk.
//
// Tested by cluster_test.cc.
#include "cli/cluster.h"

#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/console.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/node/load_model.h"
#include "common/rpc/announce.h"

namespace kedge {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(20);
constexpr absl::Duration kStopGrace = absl::Seconds(5);
constexpr int kPortsToTry = 100;
constexpr int kLogLines = 20;

// Whether somebody listens there now. What is wrong with the host shows when the router binds.
bool IsTaken(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found) != 0) return false;
  bool taken = false;
  for (addrinfo* address = found; address != nullptr; address = address->ai_next) {
    int file = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
    if (file < 0) continue;
    int on = 1;
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));  // what is only closing does not count
    if (bind(file, address->ai_addr, address->ai_addrlen) != 0 && errno == EADDRINUSE) taken = true;
    close(file);
  }
  freeaddrinfo(found);
  return taken;
}

}  // namespace

// The waits of a start, whose time is one.
class Cluster::StartWait {
 public:
  StartWait(const ClusterOptions& options, const std::function<bool()>& cancelled)
      : cancelled_(cancelled),
        deadline_(SteadyNow() + options.start_timeout),
        notice_interval_(options.notice_interval),
        next_notice_(SteadyNow() + options.notice_interval) {}

  // OK after a moment. `what()`: what is waited for, and where more is to be read.
  template <typename What>
  absl::Status Continue(const What& what) {
    if (cancelled_()) return absl::CancelledError("stopped by a signal");
    const absl::Time now = SteadyNow();
    if (now > deadline_) return absl::DeadlineExceededError(absl::StrCat("still waiting for ", what()));
    if (now > next_notice_) {
      Say(absl::StrCat("waiting for ", what()));
      next_notice_ = SteadyNow() + notice_interval_;
    }
    absl::SleepFor(kPollInterval);
    return absl::OkStatus();
  }

 private:
  const std::function<bool()>& cancelled_;
  const absl::Time deadline_;
  const absl::Duration notice_interval_;
  absl::Time next_notice_;
};

absl::StatusOr<Cluster> Cluster::Start(const ClusterOptions& options, const ClusterProbe& probe,
                                       const std::function<bool()>& cancelled) {
  StartWait wait(options, cancelled);
  Cluster cluster(options);
  absl::StatusOr<std::string> host = ParseHost(options.host);
  if (!host.ok()) return OfField("--host", host.status());
  cluster.options_.host = *std::move(host);
  if (cluster.options_.threads == 0) {
    cluster.options_.threads = DefaultThreads(UsableMachine().cores, options.num_prefill, options.num_decode);
  }
  if (cluster.options_.kv_memory_mib == 0 && !HasOwnKvMemory(options.backend)) {
    cluster.options_.kv_memory_mib = DefaultKvMemoryMib(DefaultKvBytes(), options.num_prefill + options.num_decode);
  }
  KEDGE_RETURN_IF_ERROR(cluster.StartRouter(wait));
  KEDGE_RETURN_IF_ERROR(cluster.StartNodes());
  KEDGE_RETURN_IF_ERROR(cluster.WaitUntilReady(probe, wait));
  return cluster;
}

Cluster::~Cluster() { Stop(); }

absl::Status Cluster::StartRouter(StartWait& wait) {
  const int last_port = options_.next_free_port ? std::min(options_.port + kPortsToTry - 1, 65535) : options_.port;
  for (int port = options_.port; port <= last_port; ++port) {
    bool taken = port != 0 && IsTaken(options_.host, port);
    if (!taken) {
      KEDGE_ASSIGN_OR_RETURN(AnnouncePipe pipe, AnnouncePipe::Make());
      std::vector<std::string> arguments = {"--listen",         JoinHostPort(options_.host, port),
                                            "--announce-fd",    absl::StrCat(pipe.child_end()),
                                            "--cluster-listen", "127.0.0.1:0",
                                            "--drain-timeout",  absl::StrCat(absl::ToDoubleSeconds(options_.drain))};
      if (!options_.chat_template.empty()) {
        arguments.insert(arguments.end(), {"--chat-template", options_.chat_template});
      }
      KEDGE_RETURN_IF_ERROR(StartMember("router", "kedge-router", std::move(arguments), pipe.child_end()));
      pipe.CloseChildEnd();
      Member& router = members_.back();
      while (address_.empty() && !router.process.Poll().has_value()) {
        KEDGE_RETURN_IF_ERROR(
            wait.Continue([&] { return absl::StrCat("the router, which does not listen yet; ", WhatItSaid(router)); }));
        const std::pair<std::string, std::string> announced = absl::StrSplit(pipe.Poll(), absl::MaxSplits(' ', 1));
        std::tie(address_, cluster_address_) = announced;
      }
      if (!router.process.Poll().has_value()) return absl::OkStatus();
      // It lost the port between our look and its own, or something else is wrong.
      const bool says_so = absl::StrContains(router.log->LastLines(kLogLines), "the port is taken");
      taken = port != 0 && (says_so || IsTaken(options_.host, port));
      if (!taken) return CheckMembers();
      address_.clear();
      members_.clear();
    }
    if (!options_.next_free_port) {
      return absl::AlreadyExistsError(absl::StrCat("port ", port, " of ", options_.host, " is taken"));
    }
  }
  return absl::AlreadyExistsError(
      absl::StrCat("ports ", options_.port, " to ", last_port, " of ", options_.host, " are taken"));
}

size_t Cluster::NodesOnDevice(int device) const {
  if (options_.devices.empty()) return options_.num_prefill + options_.num_decode;
  return std::count(options_.devices.begin(), options_.devices.end(), device);
}

absl::Status Cluster::StartNodes() {
  size_t started = 0;
  auto start = [&](const std::string& role, int count) -> absl::Status {
    for (int i = 0; i < count; ++i) {
      const std::string name = absl::StrCat(role, "-", i);
      std::vector<std::string> arguments = {"--listen",  "127.0.0.1:0", "--router",  cluster_address_,
                                            "--node-id", name,          "--threads", absl::StrCat(options_.threads)};
      if (options_.kv_memory_mib != 0) {
        arguments.insert(arguments.end(), {"--kv-memory", absl::StrCat(options_.kv_memory_mib)});
      }
      if (options_.cache_memory_mib.has_value()) {
        arguments.insert(arguments.end(), {"--cache-memory", absl::StrCat(*options_.cache_memory_mib)});
      }
      if (role == "decode" && options_.held_memory_mib.has_value()) {
        arguments.insert(arguments.end(), {"--held-memory", absl::StrCat(*options_.held_memory_mib)});
      }
      if (!options_.kv_type.empty()) arguments.insert(arguments.end(), {"--kv-type", options_.kv_type});
      if (!options_.backend.empty()) arguments.insert(arguments.end(), {"--backend", options_.backend});
      const int device = options_.devices.empty() ? 0 : options_.devices[started++];
      if (!options_.devices.empty()) arguments.insert(arguments.end(), {"--device", absl::StrCat(device)});
      if (const size_t nodes = NodesOnDevice(device); nodes > 1 && CheckGpuFlag("--device", options_.backend).ok()) {
        arguments.insert(arguments.end(), {"--device-nodes", absl::StrCat(nodes)});
      }
      if (!options_.salience_heads.empty()) {
        arguments.insert(arguments.end(), {"--salience-heads", options_.salience_heads});
      }
      KEDGE_RETURN_IF_ERROR(StartMember(name, "kedge-" + role, std::move(arguments)));
    }
    return absl::OkStatus();
  };
  KEDGE_RETURN_IF_ERROR(start("prefill", options_.num_prefill));
  return start("decode", options_.num_decode);
}

absl::Status Cluster::WaitUntilReady(const ClusterProbe& probe, StartWait& wait) {
  while (true) {
    KEDGE_RETURN_IF_ERROR(CheckMembers());
    const absl::StatusOr<ClusterView> view = probe({LocalAddress(), cluster_address_});
    std::vector<const Member*> missing;  // nodes
    if (view.ok()) {
      const std::vector<std::string>& ready = view->ready_nodes;
      for (const Member& member : members_) {
        const bool is_ready = std::find(ready.begin(), ready.end(), member.name) != ready.end();
        if (member.name != "router" && !is_ready) missing.push_back(&member);
      }
      if ((view->serving || options_.num_decode == 0) && missing.empty()) return absl::OkStatus();
    }
    KEDGE_RETURN_IF_ERROR(wait.Continue([&] {
      const Member& router = members_.front();
      if (!view.ok()) {
        return absl::StrCat("the router, which does not answer (", view.status().message(), "); ", WhatItSaid(router));
      }
      if (missing.empty()) return absl::StrCat("the router, which does not serve yet; ", WhatItSaid(router));
      return absl::StrCat(missing.front()->name, " (", missing.size(), " not ready); ", WhatItSaid(*missing.front()));
    }));
  }
}

absl::Status Cluster::StartMember(const std::string& name, const std::string& program,
                                  std::vector<std::string> arguments, int shared_file) {
  arguments.insert(arguments.begin(), absl::StrCat(options_.program_directory, "/", program));
  arguments.insert(arguments.end(), {"--model", options_.model});
  if (!options_.adapter.empty()) arguments.insert(arguments.end(), {"--adapter", options_.adapter});
  if (!options_.policy.empty()) arguments.insert(arguments.end(), {"--policy", options_.policy});
  arguments.push_back("--die-with-parent");
  auto say_once = [whole = logs_whole_](const absl::Status& error) {
    if (whole->exchange(false)) Say(absl::StrCat("going on without logs: ", error.message()));
  };
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<ChildLog> log, ChildLog::Start(LogPath(name), std::move(say_once)));
  KEDGE_ASSIGN_OR_RETURN(
      ChildProcess process,
      ChildProcess::Start({.argv = std::move(arguments), .output = log->child_end(), .shared_file = shared_file}));
  log->CloseChildEnd();
  members_.push_back({name, std::move(log), std::move(process)});
  return absl::OkStatus();
}

absl::Status Cluster::CheckMembers() {
  for (Member& member : members_) {
    const std::optional<std::string>& end = member.process.Poll();
    if (!end.has_value()) continue;
    const std::string path = LogPath(member.name);
    const std::string lines = member.log->LastLines(kLogLines);
    return absl::UnavailableError(absl::StrCat(member.name, " ended with ", *end, "; the end of ",
                                               path.empty() ? "what it said" : path, ":\n",
                                               absl::StripSuffix(lines, "\n")));
  }
  return absl::OkStatus();
}

std::string Cluster::LogPath(const std::string& name) const {
  return options_.logs == nullptr ? "" : absl::StrCat(options_.logs->path(), "/", name, ".log");
}

std::string Cluster::WhatItSaid(const Member& member) const {
  const std::string path = LogPath(member.name);
  if (!path.empty() && *logs_whole_) return absl::StrCat("log: ", path);
  return absl::StrCat("it said:\n", member.log->LastLines(kLogLines));
}

std::vector<Cluster::Ended> Cluster::Poll() {
  std::vector<Ended> ended;
  for (Member& member : members_) {
    const std::optional<std::string>& end = member.process.Poll();
    if (!end.has_value() || member.reported) continue;
    member.reported = true;
    ended.push_back({member.name, *end, WhatItSaid(member)});
  }
  return ended;
}

template <typename Done>
bool Cluster::WaitFor(absl::Duration time, const std::function<bool()>& hurry, Done done) {
  const absl::Time deadline = SteadyNow() + time;
  while (!done()) {
    if (hurry() || SteadyNow() >= deadline) return false;
    absl::SleepFor(kPollInterval);
  }
  return true;
}

// Nodes leave after the router: an answer under way needs them.
void Cluster::Stop(const std::function<bool()>& hurry) {
  const auto has_ended = [](Member& member) { return member.process.Poll().has_value(); };
  if (!members_.empty()) {
    members_.front().process.Signal(SIGTERM);
    WaitFor(options_.drain + kStopGrace, hurry, [&] { return has_ended(members_.front()); });
    for (Member& member : members_) member.process.Signal(SIGTERM);
    WaitFor(kStopGrace, hurry, [&] { return std::all_of(members_.begin(), members_.end(), has_ended); });
  }
  members_.clear();  // kills what is left
}

std::string Cluster::LocalAddress() const {
  const absl::StatusOr<HostPort> address = ParseHostPort(address_);
  if (!address.ok()) return address_;
  if (!IsWildcard(address->host)) return address_;
  return JoinHostPort(absl::StrContains(address->host, ':') ? "::1" : "127.0.0.1", address->port);
}

int DefaultThreads(int cores, int num_prefill, int num_decode) {
  const int sharers = std::max({num_prefill, num_decode, 1});
  return std::max(1, (cores + sharers - 1) / sharers);
}

uint64_t DefaultKvMemoryMib(uint64_t node_default, int num_nodes) {
  constexpr uint64_t kLeastMib = 64;
  const uint64_t sharers = static_cast<uint64_t>(std::max(num_nodes, 2));
  return std::max(kLeastMib, (2 * node_default / sharers) >> 20);
}

}  // namespace kedge
