// Builds the parts in the order of their dependencies and takes them down in reverse: the server first, which ends all
// RPCs and so cancels their flows, then the caller, which waits for the Decode calls of those flows.
//
// Tested by router_test.cc and router_nodes_test.cc.
#include "router/router.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/base/error_reason.h"
#include "common/base/machine_limits.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/model/model_files.h"
#include "common/rpc/connection_acceptor.h"
#include "grpcpp/impl/service_type.h"
#include "router/cluster_service.h"
#include "router/model_service.h"
#include "router/registry_service.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr absl::Duration kHealthInterval = absl::Milliseconds(50);
constexpr int kClientStreams = 1024;                          // under way on one connection
constexpr absl::Duration kClientAge = absl::Hours(1);         // of a connection; then its client makes another one
constexpr int kClusterMessageBytes = 2 << 20;                 // CheckNodeInfo lets no more be said
constexpr size_t kGuests = 64;                                // connections of others than nodes: `kedge nodes`
constexpr absl::Duration kEndGrace = absl::Seconds(1);  // for statuses on their way; not every client reads

uint64_t DrawSeed() {
  std::random_device random;
  return static_cast<uint64_t>(random()) << 32 | random();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> Router::Start(const RouterOptions& options) {
  auto router = std::unique_ptr<Router>(new Router());
  KEDGE_RETURN_IF_ERROR(CheckDoor("--cluster-listen", options.cluster_listen, options.member.get()));
  if (options.member != nullptr && !options.member->self().HasRole(MemberRole::kRouter)) {
    return absl::InvalidArgumentError("--tls-dir: cert.pem is no certificate of a router");
  }
  router->member_ = options.member;
  std::shared_ptr<grpc::ServerCredentials> client_door;
  if (!options.tls_certificate.empty()) {
    KEDGE_ASSIGN_OR_RETURN(client_door, ClientDoor(options.tls_certificate, options.tls_key));
  }
  absl::StatusOr<std::unique_ptr<Callers>> callers = Callers::Make(options.keys_file);
  if (!callers.ok()) return OfField("--keys", callers.status());
  router->callers_ = *std::move(callers);
  absl::StatusOr<ModelFiles> opened = ModelFiles::Open(options.model_path, options.adapter_path);
  if (!opened.ok()) {
    return OfField(options.adapter_path.empty() ? "--model" : "--model, --adapter", opened.status());
  }
  const ModelFiles files = *std::move(opened);
  KEDGE_ASSIGN_OR_RETURN(router->model_, LoadRouterModel(files, options.model_name, options.policy,
                                                         options.default_max_tokens, options.chat_template));
  // Of all bytes, though only metadata are read here: what the cluster serves is what this router was given.
  KEDGE_ASSIGN_OR_RETURN(std::string fingerprint,
                         ModelFingerprint(files, [](const std::string& line) { spdlog::warn("{}", line); }));
  router->parser_ = std::make_unique<RequestParser>(router->model_.get(), &router->dates_);
  router->registry_ = std::make_unique<NodeRegistry>(&router->clock_, std::move(fingerprint),
                                                     router->model_->default_policy, options.kv_type,
                                                     AnswerRounds::kNotYet, options.max_nodes);
  router->intake_ =
      std::make_unique<RequestIntake>(options.parser_threads, options.request_memory, router->model_->context_length);
  router->timer_executor_ = std::make_unique<Executor>(1);
  router->caller_ = std::make_unique<DecodeCallerGrpc>(router->registry_.get(), &router->clock_, router->member_.get());
  router->asker_ = std::make_unique<NodeAskerGrpc>(router->member_.get());
  router->rounds_ = std::make_unique<AnswerRounds>(
      AnswerRoundsOptions{.vocab_size = router->model_->vocab_size, .period = options.answer_period}, &router->clock_,
      router->registry_.get(), router->asker_.get(), DrawSeed);

  router->audit_ = std::make_unique<Audit>(options.audit, &router->clock_, router->registry_.get(),
                                           router->caller_.get(), DrawSeed);

  Executor* const timers = router->timer_executor_.get();
  router->environment_ = {
      .clock = &router->clock_,
      .tokenizer = router->model_->tokenizer.get(),
      .vocab_size = router->model_->vocab_size,
      .registry = router->registry_.get(),
      .prefixes = &router->prefixes_,
      .caller = router->caller_.get(),
      .audit = router->audit_.get(),
      .retries = &router->retries_,
      .run_after = [timers](absl::Duration delay,
                            std::function<void()> closure) { timers->PostAfter(delay, std::move(closure)); },
      .draw_seed = DrawSeed};
  router->inference_service_ =
      std::make_unique<InferenceService>(router->callers_.get(), router->parser_.get(), &router->environment_,
                                         router->intake_.get());
  router->model_service_ = NewModelService(router->callers_.get(), router->model_.get(), router->parser_.get(),
                                           router->registry_.get(), router->intake_.get());
  router->cluster_service_ = NewClusterService(router->registry_.get());
  router->registry_service_ = NewRegistryService(router->registry_.get(), router->member_.get(), &router->clock_,
                                                 router->timer_executor_.get(),
                                                 {.max_streams = 2 * options.max_nodes + kGuests});

  const size_t connections = ConnectionsFor(FileLimit());
  const size_t of_nodes = std::clamp<size_t>(connections / 4, 1, options.max_nodes + kGuests);
  const size_t of_clients =
      options.max_connections != 0 ? options.max_connections : std::max<size_t>(connections - of_nodes, 1);
  KEDGE_ASSIGN_OR_RETURN(router->server_,
                         RpcServer::Start({
                             .listen = options.listen,
                             .services = {router->inference_service_->service(), router->model_service_.get()},
                             .health_services = {kInferenceServiceName},
                             .credentials = client_door,
                             .max_connections = of_clients,
                             .max_streams = kClientStreams,
                             .max_connection_age = kClientAge,
                         }));
  KEDGE_ASSIGN_OR_RETURN(
      router->cluster_server_,
      RpcServer::Start({.listen = options.cluster_listen,
                        .services = {router->cluster_service_.get(), router->registry_service_.get()},
                        .credentials = router->member_ == nullptr ? nullptr : router->member_->ServerCredentials(),
                        .max_receive_bytes = kClusterMessageBytes,
                        .max_connections = of_nodes}));
  router->health_thread_ = std::thread([router = router.get()] { router->WatchHealth(); });
  return router;
}

Router::~Router() {
  if (cluster_server_ == nullptr) return;  // Start failed
  stop_health_.Notify();
  if (health_thread_.joinable()) health_thread_.join();
  server_->Shutdown(absl::ZeroDuration());
  server_.reset();
  cluster_server_.reset();
  registry_service_.reset();
  cluster_service_.reset();
  model_service_.reset();
  inference_service_.reset();
  audit_->Stop();
  caller_.reset();  // waits for the calls
  asker_.reset();
  intake_.reset();
  timer_executor_.reset();  // drops timers of flows
}

void Router::WatchHealth() {
  bool serving = false;
  do {
    rounds_->Turn();
    const bool can_serve = registry_->CanServe();
    if (can_serve != serving) server_->SetServing(kInferenceServiceName, can_serve);
    serving = can_serve;
  } while (!stop_health_.WaitFor(kHealthInterval));
}

absl::Status Router::Knock(absl::Duration timeout) {
  KEDGE_RETURN_IF_ERROR(OfField("--listen", server_->Knock(timeout / 2)));
  return OfField("--cluster-listen", cluster_server_->Knock(timeout / 2));
}

void Router::Drain(absl::Duration timeout) {
  stop_health_.Notify();
  if (health_thread_.joinable()) health_thread_.join();
  server_->SetServing(kInferenceServiceName, false);
  server_->SetServing("", false);
  inference_service_->StartDraining();
  if (!inference_service_->WaitUntilIdle(timeout)) {
    inference_service_->EndAll(
        Refusal(absl::UnavailableError("the router is shutting down, and has ended this answer before it was complete"),
                kShuttingDown, absl::Seconds(1)));
    inference_service_->WaitUntilIdle(kEndGrace);
  }
  // The short grace is for refusals that are just on their way.
  server_->Shutdown(absl::Milliseconds(100));
}

}  // namespace kedge
