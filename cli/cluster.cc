// Everything is observed, nothing is guessed: the router's port is the one that it logs after it has bound it, nodes
// bind port 0 and tell the router where they are, and readiness is what the router says. So clusters that start side
// by side can't take each other's ports between a look and a use.
//
// Tested by cluster_test.cc.
#include "cli/cluster.h"

#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/console.h"
#include "common/base/status.h"
#include "common/node/load_model.h"

namespace kedge {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(20);
constexpr absl::Duration kNoticeInterval = absl::Seconds(10);
constexpr absl::Duration kStopGrace = absl::Seconds(5);
constexpr int kPortsToTry = 100;
constexpr int kLogLines = 20;

std::string ReadLog(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

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

absl::StatusOr<Cluster> Cluster::Start(const ClusterOptions& options, const ClusterProbe& probe,
                                       const std::function<bool()>& cancelled) {
  std::error_code error;
  std::filesystem::create_directories(options.log_directory, error);
  if (error) return absl::UnavailableError(absl::StrCat(options.log_directory, ": ", error.message()));
  const absl::Time deadline = absl::Now() + options.start_timeout;
  Cluster cluster(options);
  if (cluster.options_.threads == 0) {
    cluster.options_.threads =
        DefaultThreads(static_cast<int>(std::thread::hardware_concurrency()), options.num_prefill, options.num_decode);
  }
  if (cluster.options_.kv_memory_mib == 0) {
    cluster.options_.kv_memory_mib = DefaultKvMemoryMib(DefaultKvBytes(), options.num_prefill + options.num_decode);
  }
  KEDGE_RETURN_IF_ERROR(cluster.StartRouter(cancelled, deadline));
  KEDGE_RETURN_IF_ERROR(cluster.StartNodes());
  KEDGE_RETURN_IF_ERROR(cluster.WaitUntilReady(probe, cancelled, deadline));
  return cluster;
}

Cluster::~Cluster() { Stop(); }

absl::Status Cluster::StartRouter(const std::function<bool()>& cancelled, absl::Time deadline) {
  const int last_port = options_.next_free_port ? std::min(options_.port + kPortsToTry - 1, 65535) : options_.port;
  for (int port = options_.port; port <= last_port; ++port) {
    bool taken = port != 0 && IsTaken(options_.host, port);
    if (!taken) {
      std::vector<std::string> arguments = {"--listen", JoinHostPort(options_.host, port)};
      if (!options_.chat_template.empty()) {
        arguments.insert(arguments.end(), {"--chat-template", options_.chat_template});
      }
      KEDGE_RETURN_IF_ERROR(StartMember("router", "kedge-router", arguments));
      Member& router = members_.back();
      while (address_.empty() && !router.process.Poll().has_value()) {
        if (cancelled()) return absl::CancelledError("stopped by a signal");
        if (absl::Now() > deadline) return absl::DeadlineExceededError("the router does not listen yet");
        absl::SleepFor(kPollInterval);
        address_ = ListeningAddress(ReadLog(router.log));
      }
      if (!router.process.Poll().has_value()) return absl::OkStatus();
      // It lost the port between our look and its own, or something else is wrong.
      const bool says_so = absl::StrContains(ReadLog(router.log), "the port is taken");
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

absl::Status Cluster::StartNodes() {
  auto start = [&](const std::string& role, int count) -> absl::Status {
    for (int i = 0; i < count; ++i) {
      const std::string name = absl::StrCat(role, "-", i);
      std::vector<std::string> arguments = {"--listen",    "127.0.0.1:0",
                                            "--router",    LocalAddress(),
                                            "--node-id",   name,
                                            "--threads",   absl::StrCat(options_.threads),
                                            "--kv-memory", absl::StrCat(options_.kv_memory_mib)};
      if (options_.cache_memory_mib.has_value()) {
        arguments.insert(arguments.end(), {"--cache-memory", absl::StrCat(*options_.cache_memory_mib)});
      }
      if (!options_.kv_type.empty()) arguments.insert(arguments.end(), {"--kv-type", options_.kv_type});
      KEDGE_RETURN_IF_ERROR(StartMember(name, "kedge-" + role, std::move(arguments)));
    }
    return absl::OkStatus();
  };
  KEDGE_RETURN_IF_ERROR(start("prefill", options_.num_prefill));
  return start("decode", options_.num_decode);
}

absl::Status Cluster::WaitUntilReady(const ClusterProbe& probe, const std::function<bool()>& cancelled,
                                     absl::Time deadline) {
  absl::Time next_notice = absl::Now() + kNoticeInterval;
  while (true) {
    if (cancelled()) return absl::CancelledError("stopped by a signal");
    KEDGE_RETURN_IF_ERROR(CheckMembers());
    std::set<std::string> missing;
    for (const Member& member : members_) {
      if (member.name != "router") missing.insert(member.name);
    }
    absl::StatusOr<ClusterView> view = probe(LocalAddress());
    if (view.ok()) {
      for (const std::string& id : view->ready_nodes) missing.erase(id);
      if ((view->serving || options_.num_decode == 0) && missing.empty()) return absl::OkStatus();
    }
    std::string waiting_for = "the router";
    if (!missing.empty()) waiting_for = absl::StrCat(*missing.begin(), " (", missing.size(), " not ready)");
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat("still waiting for ", waiting_for, "; logs: ", log_directory()));
    }
    if (absl::Now() > next_notice) {
      Say(absl::StrCat("waiting for ", waiting_for, "; logs: ", log_directory()));
      next_notice += kNoticeInterval;
    }
    absl::SleepFor(kPollInterval);
  }
}

absl::Status Cluster::StartMember(const std::string& name, const std::string& program,
                                  std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), absl::StrCat(options_.program_directory, "/", program));
  arguments.insert(arguments.end(), {"--model", options_.model});
  if (!options_.adapter.empty()) arguments.insert(arguments.end(), {"--adapter", options_.adapter});
  if (!options_.policy.empty()) arguments.insert(arguments.end(), {"--policy", options_.policy});
  arguments.push_back("--die-with-parent");
  const std::string log = absl::StrCat(options_.log_directory, "/", name, ".log");
  std::error_code ignored;
  std::filesystem::remove(log, ignored);  // of a router that did not get its port
  KEDGE_ASSIGN_OR_RETURN(ChildProcess process, ChildProcess::Start({.argv = std::move(arguments), .output_file = log}));
  members_.push_back({name, log, std::move(process)});
  return absl::OkStatus();
}

absl::Status Cluster::CheckMembers() {
  for (Member& member : members_) {
    const std::optional<std::string>& end = member.process.Poll();
    if (!end.has_value()) continue;
    std::string lines = LastLines(ReadLog(member.log), kLogLines);
    return absl::UnavailableError(absl::StrCat(member.name, " ended with ", *end, "; the end of ", member.log, ":\n",
                                               absl::StripSuffix(lines, "\n")));
  }
  return absl::OkStatus();
}

std::vector<Cluster::Ended> Cluster::Poll() {
  std::vector<Ended> ended;
  for (Member& member : members_) {
    const std::optional<std::string>& end = member.process.Poll();
    if (!end.has_value() || member.reported) continue;
    member.reported = true;
    ended.push_back({member.name, *end, member.log});
  }
  return ended;
}

void Cluster::Stop() {
  for (Member& member : members_) member.process.Signal(SIGTERM);
  const absl::Time deadline = absl::Now() + kStopGrace;
  auto any_left = [this] {
    return std::any_of(members_.begin(), members_.end(),
                       [](Member& member) { return !member.process.Poll().has_value(); });
  };
  while (any_left() && absl::Now() < deadline) absl::SleepFor(kPollInterval);
  members_.clear();  // kills what is left
}

std::string Cluster::LocalAddress() const {
  const size_t colon = address_.rfind(':');
  const std::string host = address_.substr(0, colon);
  if (host == "0.0.0.0") return absl::StrCat("127.0.0.1", address_.substr(colon));
  if (host == "[::]") return absl::StrCat("[::1]", address_.substr(colon));
  return address_;
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

std::string ListeningAddress(absl::string_view log) {
  constexpr absl::string_view kWord = "listening ";
  const size_t last_line_end = log.rfind('\n');  // a line that is still being written does not count
  if (last_line_end == absl::string_view::npos) return "";
  for (absl::string_view line : absl::StrSplit(log.substr(0, last_line_end), '\n')) {
    const size_t at = line.find(kWord);
    if (at == absl::string_view::npos) continue;
    absl::string_view rest = line.substr(at + kWord.size());
    absl::ConsumePrefix(&rest, "on ");
    return std::string(rest.substr(0, rest.find_first_of(" ,;\r")));
  }
  return "";
}

std::string LastLines(absl::string_view text, int count) {
  size_t begin = text.size() - (absl::EndsWith(text, "\n") ? 1 : 0);  // a line feed, or the end
  for (int i = 0; i < count; ++i) {
    const size_t line_feed = begin == 0 ? absl::string_view::npos : text.rfind('\n', begin - 1);
    if (line_feed == absl::string_view::npos) return std::string(text);
    begin = line_feed;
  }
  return std::string(text.substr(begin + 1));
}

std::string JoinHostPort(const std::string& host, int port) {
  const bool is_bare_ipv6 = absl::StrContains(host, ':') && !absl::StartsWith(host, "[");
  return is_bare_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

}  // namespace kedge
