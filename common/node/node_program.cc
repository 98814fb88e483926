// Start: model, engine thread, server, registration. End, in reverse: leave the routers (a decode node first lets its
// answers end), let calls finish, stop the engine. Tested by tests/cluster_test.py, which runs the programs.
#include "common/node/node_program.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <optional>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/base/version.h"
#include "common/kernels/row_shape.h"
#include "common/model/config.h"
#include "common/model/model_files.h"
#include "common/node/known_answer_service.h"
#include "common/node/load_model.h"
#include "common/node/salience_store.h"
#include "common/node/stats_board.h"
#include "common/rpc/convert.h"
#include "common/rpc/flags.h"
#include "common/rpc/log.h"
#include "common/rpc/protocol.h"
#include "common/rpc/registrar.h"
#include "common/rpc/server.h"
#include "common/rpc/signals.h"
#include "common/rpc/watchdog.h"
#include "common/tls/membership.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr absl::Duration kDrainGrace = absl::Seconds(3);
constexpr uint64_t kMostMib = uint64_t{1} << 30;

struct Flags {
  std::string listen = "127.0.0.1:0";
  std::string routers;
  std::string advertise;
  std::string node_id;
  std::string tls_directory;
  std::string model;
  std::string adapter;
  std::string policy;
  std::string kv_type = KvTypeName(kDefaultKvType);
  std::string salience_heads;
  std::string log_level = "info";
  uint64_t kv_memory_mib = 0;
  std::optional<uint64_t> cache_memory_mib;
  DeviceOptions device;
  std::optional<int> gpu;
  bool die_with_parent = false;
  size_t max_connections = 0;
  double watchdog = kWatchdogSeconds;
};

void AddFlags(CLI::App* app, Flags* flags) {
  app->add_option("--listen", flags->listen, "HOST:PORT to serve on; port 0 takes a free one")
      ->check(ListenAddress())
      ->capture_default_str();
  app->add_option("--router", flags->routers,
                  "HOST:PORT[,HOST:PORT...] of the routers to register with: their --cluster-listen")
      ->check(ReachableAddresses());
  app->add_option(
         "--advertise", flags->advertise,
         "HOST:PORT where others reach this node (default: --listen, or this host's name where that is 0.0.0.0 or ::; "
         "port 0: the real one)")
      ->check(ListenAddress());
  app->add_option("--node-id", flags->node_id,
                  "unique name in the cluster (default: the first name of its certificate, or role and address)");
  app->add_option("--tls-dir", flags->tls_directory, kTlsDirectoryHelp)->type_name(kFileType);
  app->add_option("--model", flags->model, "GGUF file")->required()->type_name(kFileType);
  app->add_option("--adapter", flags->adapter, "LoRA adapter for that model, a GGUF file (default: none)")
      ->type_name(kFileType);
  app->add_option("--policy", flags->policy, "anchor policy; must be the router's, which refuses the node otherwise");
  app->add_option("--kv-type", flags->kv_type, "type of keys and values")
      ->check(CLI::IsMember(KvTypeNames()))
      ->capture_default_str();
  app->add_option("--salience-heads", flags->salience_heads,
                  "heads by which policies with `salient` choose, as `kedge calibrate` prints them (default: what it "
                  "stored here, else what the files say)")
      ->type_name("HEADS");
  app->add_option("--threads", flags->device.threads, "threads that compute (default: one per core)")
      ->check(WholeNumber(0, 1024));
  app->add_option("--kv-memory", flags->kv_memory_mib,
                  "MiB for KV rows (default: a quarter of the memory that this process may use, at most 4096)")
      ->check(WholeNumber(0, kMostMib));
  app->add_option(
         "--cache-memory", flags->cache_memory_mib,
         "MiB of --kv-memory that rows of earlier requests may hold for later ones while no request needs them; "
         "0: none (default: half)")
      ->check(WholeNumber(0, kMostMib));
  app->add_flag(
      "--weight-image,!--no-weight-image", flags->device.weight_image,
      "share packed weights with other processes of this machine, in a file in the cache directory that takes "
      "about as much space as the model (default: on)");
  app->add_option("--backend", flags->device.backend, kBackendHelp)
      ->check(CLI::IsMember(BackendNames()))
      ->capture_default_str();
  app->add_option("--device", flags->gpu, kDeviceHelp)->check(WholeNumber(0, kLastGpu));
  app->add_option("--device-nodes", flags->device.sharers, kSharersHelp)->check(WholeNumber(1, kLastGpu));
  app->add_option("--max-connections", flags->max_connections, kMaxConnectionsHelp)->check(WholeNumber(1, INT_MAX));
  app->add_option("--watchdog", flags->watchdog, kWatchdogHelp)->check(Number(0, 86400))->capture_default_str();
  app->add_option("--log-level", flags->log_level, kLogLevels)->capture_default_str();
  app->add_flag("--die-with-parent", flags->die_with_parent, "end when the process that started this one ends");
}

// Where others reach a server that listens on `address`.
absl::StatusOr<std::string> AdvertisedAddress(const Flags& flags, const RpcServer& server) {
  if (!flags.advertise.empty()) {
    KEDGE_ASSIGN_OR_RETURN(const HostPort advertised, ParseHostPort(flags.advertise));
    return JoinHostPort(advertised.host, advertised.port != 0 ? advertised.port : server.port());
  }
  KEDGE_ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(server.address()));
  if (!IsWildcard(listen.host)) return server.address();
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return absl::InternalError("advertise: this host has no name");
  return JoinHostPort(name, server.port());
}

// --policy in canonical form; empty if there is none.
absl::StatusOr<std::string> FlagPolicy(const Flags& flags, const ModelFiles& files) {
  if (flags.policy.empty()) return std::string();
  KEDGE_ASSIGN_OR_RETURN(const PolicyNames names, LoadPolicyNames(files));
  KEDGE_ASSIGN_OR_RETURN(const Policy policy, ParsePolicy(flags.policy, names));
  return CanonicalPolicy(policy);
}

// Of --salience-heads, or found.
absl::StatusOr<FoundHeads> Heads(const Flags& flags, const ModelFiles& files, const ModelConfig& config) {
  if (flags.salience_heads.empty()) return FindSalienceHeads(files, config);
  absl::StatusOr<SalienceHeads> heads = ParseSalienceHeads(
      flags.salience_heads, static_cast<uint32_t>(config.num_layers), static_cast<uint32_t>(config.num_heads));
  if (!heads.ok()) return OfField("--salience-heads", heads.status());
  return FoundHeads{.heads = *std::move(heads)};
}

uint32_t CachePages(const Flags& flags, const StepDevice& device) {
  if (!flags.cache_memory_mib.has_value()) return device.num_pages() / 2;
  const uint64_t pages = (*flags.cache_memory_mib << 20) / (device.row_shape().page_row_bytes() * kPageRows);
  return static_cast<uint32_t>(std::min<uint64_t>(pages, device.num_pages()));
}

// The process's place in the cluster; null on the loopback. Its certificate must name the node and its role.
absl::StatusOr<std::shared_ptr<const Membership>> Member(const NodeProgram& program, const Flags& flags) {
  std::shared_ptr<const Membership> member;
  if (!flags.tls_directory.empty()) {
    KEDGE_ASSIGN_OR_RETURN(member, Membership::Load(flags.tls_directory));
  }
  KEDGE_RETURN_IF_ERROR(CheckDoor("--listen", flags.listen, member.get()));
  if (member == nullptr) {
    if (!flags.advertise.empty()) KEDGE_RETURN_IF_ERROR(CheckDoor("--advertise", flags.advertise, nullptr));
    return member;
  }
  const Peer self = member->self();
  const MemberRole role = program.role == node::v1::ROLE_PREFILL ? MemberRole::kPrefill : MemberRole::kDecode;
  if (!self.HasRole(role)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-dir: cert.pem is no certificate of a ", MemberRoleName(role), " node"));
  }
  if (self.names.empty()) return absl::InvalidArgumentError("--tls-dir: cert.pem names no host or node");
  if (!flags.node_id.empty() && !self.HasName(flags.node_id)) {
    return absl::InvalidArgumentError(absl::StrCat("--node-id: ", flags.node_id, " is none of the names in cert.pem: ",
                                                   absl::StrJoin(self.names, ", ")));
  }
  return member;
}

std::string NodeId(const NodeProgram& program, const Flags& flags, const Membership* member,
                   const std::string& address) {
  if (!flags.node_id.empty()) return flags.node_id;
  if (member != nullptr) return member->self().names.front();
  return absl::StrCat(program.role == node::v1::ROLE_PREFILL ? "prefill-" : "decode-", address);
}

absl::Status Serve(const NodeProgram& program, Flags flags, const ModelFiles& files,
                   const std::string& canonical_policy, const std::shared_ptr<const Membership>& member,
                   SignalWaiter* signals) {
  KEDGE_ASSIGN_OR_RETURN(flags.device.kv_type, ParseKvType(flags.kv_type));
  flags.device.kv_bytes = flags.kv_memory_mib << 20;
  flags.device.notice = [](const std::string& line) { spdlog::warn("{}", line); };
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const FoundHeads found, Heads(flags, files, config));
  KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(files, flags.device.notice));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, MakeDevice(files, flags.device));
  const RowShape& shape = device->row_shape();
  const uint64_t total_rows = uint64_t{device->num_pages()} * kPageRows;
  const uint32_t cache_pages = CachePages(flags, *device);
  spdlog::info(
      "model {} ({}{}), class {}, KV memory {} MiB = {} rows of {} bytes ({}), of which the cache may hold {} MiB",
      config.name, flags.model, flags.adapter.empty() ? "" : ", adapter " + flags.adapter, device->numerics_class(),
      total_rows * shape.page_row_bytes() >> 20, total_rows, shape.page_row_bytes(), flags.kv_type,
      uint64_t{cache_pages} * kPageRows * shape.page_row_bytes() >> 20);

  if (!found.calibrated) {
    spdlog::warn("salience heads: this model is not calibrated, so under `salient` all heads choose (kedge calibrate)");
  }

  const RealClock clock;
  EventLoop loop;
  const std::unique_ptr<NodeEngine> engine =
      program.make_engine({.fingerprint = fingerprint,
                           .context_length = static_cast<uint32_t>(config.context_length),
                           .salience_heads = found.heads,
                           .cache_pages = cache_pages,
                           .device = device.get(),
                           .loop = &loop,
                           .clock = &clock,
                           .member = member.get()});
  KnownAnswerServiceImpl known_answers(&loop, [&](auto ids, auto answered) {
    engine->Answer(std::move(ids), std::move(answered));
  });
  StatsBoard board;
  board.Set(engine->stats());
  std::vector<grpc::Service*> services = engine->services();
  services.push_back(&known_answers);
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<RpcServer> server,
                         RpcServer::Start({.listen = flags.listen,
                                           .services = std::move(services),
                                           .health_services = {program.service_name},
                                           .credentials = member == nullptr ? nullptr : member->ServerCredentials(),
                                           .max_receive_bytes = 64 << 20,
                                           .max_connections = flags.max_connections}));
  KEDGE_ASSIGN_OR_RETURN(const std::string address, AdvertisedAddress(flags, *server));
  absl::Status lost;  // of the device; the loop's until it has stopped
  std::atomic<bool> is_lost = false, leaves = false;
  loop.Start([&] {
    const bool busy = engine->Turn();
    board.Set(engine->stats());
    if (lost.ok() && !device->status().ok()) {
      lost = device->status();
      is_lost = true;
      spdlog::error("{}", std::string(lost.message()));
      kill(getpid(), SIGTERM);  // as if somebody had asked for an orderly end: others go on with what was begun here
    }
    return busy;
  });

  RegistrarOptions registration{.member = member};
  if (!flags.routers.empty()) {
    KEDGE_ASSIGN_OR_RETURN(registration.routers, ParseReachables(flags.routers));
  }
  node::v1::NodeInfo& info = registration.info;
  info.set_protocol_version(kProtocolVersion);
  info.set_role(program.role);
  info.set_address(address);
  info.set_node_id(NodeId(program, flags, member.get(), address));
  info.set_fingerprint(fingerprint);
  info.set_numerics_class(device->numerics_class());
  info.set_kv_type(flags.kv_type);
  info.set_policy(canonical_policy);
  info.set_row_bytes(shape.row_bytes());
  info.set_total_rows(total_rows);
  info.set_salience_heads(SalienceHeadsText(found.heads));
  registration.heartbeat = [&] {
    node::v1::Heartbeat heartbeat = HeartbeatFrom(board.Get(), loop.turns());
    heartbeat.set_leaves(leaves);
    return heartbeat;
  };
  signals->StartServing();
  server->SetServing(program.service_name, true);
  spdlog::info("listening {}, advertised as {}", server->address(), address);
  auto registrar = std::make_unique<Registrar>(std::move(registration));
  std::optional<Watchdog> watchdog;
  if (flags.watchdog > 0) {
    watchdog.emplace(absl::Seconds(flags.watchdog), [&](absl::Duration timeout) { return server->Knock(timeout); },
                     &Watchdog::EndProcess);
  }

  const int signal = signals->Wait();
  spdlog::info("signal {}: leaving the cluster", signal);
  watchdog.reset();
  server->SetServing(program.service_name, false);
  // A decode node stays registered, as one that leaves, while there are answers here: one that has to move for want of
  // memory may come back where no other node is. Without its device it can end none.
  const absl::Time end = clock.Now() + kDrainGrace;
  if (program.role == node::v1::ROLE_DECODE && !is_lost) {
    leaves = true;
    registrar->Beat();
    board.AwaitIdle(kDrainGrace);
  }
  registrar.reset();
  server->Shutdown(std::max(end - clock.Now(), absl::ZeroDuration()));
  loop.Stop();
  return lost;
}

int Fail(absl::string_view what, const absl::Status& status, int exit_code) {
  spdlog::error("{}", absl::StrCat(what, ": ", status.message()));
  return exit_code;
}

}  // namespace

int RunNode(const NodeProgram& program, int argc, char** argv) {
  Flags flags;
  CLI::App app(program.description, program.name);
  app.set_version_flag("--version", std::string(program.name) + " " + kVersion);
  AddFlags(&app, &flags);
  if (program.add_flags != nullptr) program.add_flags(&app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  SignalWaiter signals;  // before any thread
  if (flags.die_with_parent) DieWithParent();
  if (const absl::Status status = InitLog(program.name.substr(program.name.find('-') + 1), flags.log_level);
      !status.ok()) {
    return Fail("--log-level", status, 2);
  }
  if (const absl::Status status = CheckFlagTexts(app); !status.ok()) return Fail(program.name, status, 2);
  if (flags.gpu.has_value()) {
    const absl::Status status = CheckGpuFlag("--device", flags.device.backend);
    if (!status.ok()) return Fail(program.name, status, 2);
    flags.device.device = *flags.gpu;
  }
  if (const absl::Status status = RaiseFileLimit(kLeastFiles); !status.ok()) return Fail(program.name, status, 1);
  const absl::StatusOr<ModelFiles> files = ModelFiles::Open(flags.model, flags.adapter);
  if (!files.ok()) return Fail(flags.adapter.empty() ? "--model" : "--model, --adapter", files.status(), 1);
  const absl::StatusOr<std::string> policy = FlagPolicy(flags, *files);
  if (!policy.ok()) return Fail("--policy", policy.status(), 2);
  const auto member = Member(program, flags);
  if (!member.ok()) return Fail(program.name, member.status(), 2);
  const absl::Status status = Serve(program, flags, *files, *policy, *member, &signals);
  return status.ok() ? 0 : Fail(program.name, status, 1);
}

}  // namespace kedge
