// kedge-router: flags in, a Router until SIGINT or SIGTERM. Exit status 0: ended in order; 1: failed; 2: usage.
#include <algorithm>
#include <climits>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/version.h"
#include "common/kernels/row_shape.h"
#include "common/rpc/announce.h"
#include "common/rpc/flags.h"
#include "common/rpc/log.h"
#include "common/rpc/signals.h"
#include "common/rpc/watchdog.h"
#include "common/tls/membership.h"
#include "router/router.h"
#include "spdlog/spdlog.h"

namespace {

constexpr uint64_t kMostMib = uint64_t{1} << 30;

}  // namespace

int main(int argc, char** argv) {
  // Debian builds Abseil with its search for deadlocks on. It notes the order of all locks, gRPC's among them: a tenth
  // of what a token costs here.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  kedge::SignalWaiter signals;  // before any thread

  kedge::RouterOptions options;
  std::string log_level = "info";
  double drain_timeout = 5.0;
  uint64_t request_memory_mib = std::clamp<uint64_t>(kedge::UsableMachine().memory_bytes / 16 >> 20, 64, 1024);
  double answer_period = absl::ToDoubleSeconds(options.answer_period);
  double watchdog_limit = kedge::kWatchdogSeconds;
  bool die_with_parent = false;
  int announce_file = -1;
  std::string tls_directory;
  CLI::App app{
      "Kedge's router: takes requests from clients, and places them on prefill and decode nodes that register "
      "with it.",
      "kedge-router"};
  app.set_version_flag("--version", std::string("kedge-router ") + kedge::kVersion);
  app.add_option("--listen", options.listen, "HOST:PORT for clients; port 0 takes a free one")
      ->check(kedge::ListenAddress())
      ->capture_default_str();
  app.add_option("--cluster-listen", options.cluster_listen,
                 "HOST:PORT for nodes to register at, and for `kedge nodes`; loopback, or with --tls-dir")
      ->check(kedge::ListenAddress())
      ->capture_default_str();
  CLI::Option* const certificate =
      app.add_option("--tls-cert", options.tls_certificate,
                     "certificate chain that clients check, PEM; read again when it changes (default: none, plain)")
          ->type_name(kedge::kFileType);
  CLI::Option* const key =
      app.add_option("--tls-key", options.tls_key, "its private key, PEM")->type_name(kedge::kFileType);
  certificate->needs(key);
  key->needs(certificate);
  app.add_option("--keys", options.keys_file,
                 "file of tenants' keys, lines TENANT SHA-256 as `kedge key` prints them; read again when it changes. "
                 "Clients must send one of the keys (default: none, everybody may ask)")
      ->type_name(kedge::kFileType);
  app.add_option("--tls-dir", tls_directory, kedge::kTlsDirectoryHelp)->type_name(kedge::kFileType);
  app.add_option("--model", options.model_path,
                 "GGUF file, the very same as the nodes'; the router uses its metadata and vocabulary")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--adapter", options.adapter_path,
                 "LoRA adapter for that model, a GGUF file: brings its policy; nodes need it too (default: none)")
      ->check(CLI::ExistingFile);
  app.add_option("--model-name", options.model_name, "name of the model in requests (default: the file's)");
  app.add_option("--chat-template", options.chat_template,
                 "file with a chat template in Jinja that takes the place of the model's (default: the model's)")
      ->check(CLI::ExistingFile);
  app.add_option("--policy", options.policy,
                 "anchor policy of requests that name none (default: the adapter's, else the model's, else salient)");
  app.add_option("--kv-type", options.kv_type,
                 "type of keys and values that nodes must have (default: the first node's)")
      ->check(CLI::IsMember(kedge::KvTypeNames()));
  app.add_option("--default-max-tokens", options.default_max_tokens, "max_tokens of requests that set none")
      ->capture_default_str()
      ->check(kedge::WholeNumber(1, UINT32_MAX));
  app.add_option("--request-memory", request_memory_mib,
                 "MiB for what clients sent and have not been answered, and for what they have not taken; requests are "
                 "refused at 80 % (default: a sixteenth of the memory that this process may use, 64 to 1024)")
      ->check(kedge::WholeNumber(1, kMostMib));
  app.add_option("--audit", options.audit,
                 "share of answers, 0 to 1, that another decode node of the same numerics class computes again, with "
                 "another prefill node or none; where they differ all of these are used no more")
      ->capture_default_str()
      ->check(kedge::Number(0, 1));
  app.add_option("--known-answers", answer_period,
                 "seconds after which all nodes are asked for their answer to random ids again; those of one numerics "
                 "class must agree to the bit")
      ->capture_default_str()
      ->check(kedge::Number(1, 1e9));
  app.add_option("--max-nodes", options.max_nodes, "nodes that may be registered; others are refused")
      ->capture_default_str()
      ->check(kedge::WholeNumber(1, 1 << 20));
  app.add_option("--max-connections", options.max_connections, kedge::kMaxConnectionsHelp)
      ->check(kedge::WholeNumber(1, INT_MAX));
  app.add_option("--watchdog", watchdog_limit, kedge::kWatchdogHelp)
      ->capture_default_str()
      ->check(kedge::Number(0, 86400));
  app.add_option("--drain-timeout", drain_timeout, "seconds that live requests get after SIGTERM")
      ->capture_default_str()
      ->check(kedge::Number(0, 86400));
  app.add_option("--log-level", log_level, kedge::kLogLevels)->capture_default_str();
  app.add_flag("--die-with-parent", die_with_parent, "end when the process that started this one ends");
  app.add_option("--announce-fd", announce_file,
                 "open file, by number, that gets a line once this listens: HOST:PORT for clients, a space, HOST:PORT "
                 "for nodes (default: none)")
      ->check(kedge::WholeNumber(0, INT_MAX));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (die_with_parent) kedge::DieWithParent();
  if (const absl::Status status = kedge::InitLog("router", log_level); !status.ok()) {
    std::cerr << status.message() << "\n";  // there is no log yet
    return 2;
  }
  if (const absl::Status status = kedge::CheckFlagTexts(app); !status.ok()) {
    spdlog::error("{}", std::string(status.message()));
    return 2;
  }
  if (const absl::Status status = kedge::RaiseFileLimit(kedge::kLeastFiles); !status.ok()) {
    spdlog::error("{}", std::string(status.message()));
    return 1;
  }

  options.request_memory = request_memory_mib << 20;
  options.answer_period = absl::Seconds(answer_period);
  if (!tls_directory.empty()) {
    auto member = kedge::Membership::Load(tls_directory);
    if (!member.ok()) {
      spdlog::error("--tls-dir: {}", std::string(member.status().message()));
      return 2;
    }
    options.member = *std::move(member);
  }
  auto router = kedge::Router::Start(options);
  if (!router.ok()) {
    const std::string message(router.status().message());
    spdlog::error("{}", message);
    return absl::StartsWith(message, "--") ? 2 : 1;
  }
  signals.StartServing();
  spdlog::info("model {}, context {}, policy {}", (*router)->model().name, (*router)->model().context_length,
               (*router)->model().readable_default_policy);
  if ((*router)->model().chat_template == nullptr) {
    spdlog::warn("messages are refused: {}", std::string((*router)->model().chat_template_status.message()));
  }
  spdlog::info("listening {}, for nodes {}", (*router)->address(), (*router)->cluster_address());
  if (announce_file >= 0) {
    if (const absl::Status status = kedge::Announce(
            announce_file, (*router)->address() + " " + (*router)->cluster_address()); !status.ok()) {
      spdlog::error("{}", std::string(status.message()));
      return 2;
    }
  }
  const absl::StatusOr<kedge::HostPort> listen = kedge::ParseHostPort(options.listen);
  const bool is_open = options.tls_certificate.empty() || options.keys_file.empty();
  if (listen.ok() && !kedge::IsLoopback(listen->host) && is_open) {
    spdlog::warn("other machines reach {}{}{}: keep it behind something that does", (*router)->address(),
                 options.tls_certificate.empty() ? ", which does not encrypt (--tls-cert)" : "",
                 options.keys_file.empty() ? ", which asks nobody for a key (--keys)" : "");
  }
  std::optional<kedge::Watchdog> watchdog;
  if (watchdog_limit > 0) {
    watchdog.emplace(absl::Seconds(watchdog_limit), [&](absl::Duration timeout) { return (*router)->Knock(timeout); },
                     &kedge::Watchdog::EndProcess);
  }
  const int signal = signals.Wait();
  spdlog::info("signal {}: draining", signal);
  watchdog.reset();
  (*router)->Drain(absl::Seconds(drain_timeout));
  return 0;
}
