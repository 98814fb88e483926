// A whole router in one object: what router_main runs, and tests start in their own process.
#ifndef KEDGE_ROUTER_ROUTER_H_
#define KEDGE_ROUTER_ROUTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/steady_time.h"
#include "common/base/wall_clock.h"
#include "common/rpc/server.h"
#include "router/answer_rounds.h"
#include "router/audit.h"
#include "common/tls/membership.h"
#include "router/callers.h"
#include "router/decode_caller_grpc.h"
#include "router/inference_service.h"
#include "router/node_asker_grpc.h"
#include "router/node_registry.h"
#include "router/request_parser.h"

namespace kedge {

// The readiness that health checks ask for under this name: a decode node is ready.
inline constexpr char kInferenceServiceName[] = "kedge.inference.v1.InferenceService";

struct RouterOptions {
  std::string listen = "127.0.0.1:50051";          // for clients
  std::string cluster_listen = "127.0.0.1:50050";  // for nodes, and for who looks after them
  std::shared_ptr<const Membership> member;        // null: the cluster is on the loopback
  // PEM files of the listener for clients; empty: it is plain.
  std::string tls_certificate;
  std::string tls_key;
  std::string keys_file;      // of tenants (Callers); empty: everybody may ask
  // GGUF. Metadata are used, and all of it is hashed: nodes must have the very same file.
  std::string model_path;
  std::string adapter_path;   // GGUF, a LoRA adapter for it, likewise; empty: none
  std::string model_name;     // empty: the model's own
  std::string chat_template;  // a file in the place of the model's chat template; empty: the model's
  std::string policy;         // default of requests; empty: the adapter's, else the model's, else the built-in one
  std::string kv_type;        // what nodes must have (a KvTypeName); empty: the first node says
  double audit = 0;  // share of answers that are computed again by other nodes (audit.h), in [0, 1]
  uint32_t default_max_tokens = 256;
  absl::Duration answer_period = absl::Minutes(10);  // between rounds of known answers (answer_rounds.h)
  int parser_threads = 2;  // that may read long requests
  // Bytes of what clients sent and have not been answered, and of what they have not taken: at 80 % requests are
  // refused.
  uint64_t request_memory = 256 << 20;
  // Nodes that may be registered.
  size_t max_nodes = 1024;
  // Connections of clients; 0: as many as the process' descriptors allow. Nodes have descriptors of their own, so that
  // clients cannot keep them out.
  size_t max_connections = 0;
};

// Serves from Start until Drain or destruction. Thread-safe.
class Router {
 public:
  static absl::StatusOr<std::unique_ptr<Router>> Start(const RouterOptions& options);
  ~Router();

  const std::string& address() const { return server_->address(); }
  // Of the listener for nodes.
  const std::string& cluster_address() const { return cluster_server_->address(); }
  const RouterModel& model() const { return *model_; }

  // Whether both doors are open (RpcServer::Knock).
  absl::Status Knock(absl::Duration timeout);

  // Orderly end: health says so, new requests are refused, live ones get `timeout`, then they end with
  // kUnavailable.
  void Drain(absl::Duration timeout);

 private:
  Router() = default;
  void WatchHealth();

  std::shared_ptr<const Membership> member_;
  RealClock clock_;
  WallClock dates_;
  std::unique_ptr<Callers> callers_;
  std::unique_ptr<const RouterModel> model_;
  std::unique_ptr<RequestParser> parser_;
  std::unique_ptr<NodeRegistry> registry_;
  PrefixMemory prefixes_;
  RetryBudget retries_;
  std::unique_ptr<RequestIntake> intake_;
  std::unique_ptr<Executor> timer_executor_;
  std::unique_ptr<Audit> audit_;
  std::unique_ptr<DecodeCallerGrpc> caller_;
  std::unique_ptr<AnswerRounds> rounds_;  // its turns are the health thread's
  std::unique_ptr<NodeAskerGrpc> asker_;  // goes before them
  FlowEnvironment environment_;
  std::unique_ptr<InferenceService> inference_service_;
  std::unique_ptr<grpc::Service> model_service_;
  std::unique_ptr<grpc::Service> cluster_service_;
  std::unique_ptr<grpc::Service> registry_service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<RpcServer> cluster_server_;
  SteadyNotification stop_health_;
  std::thread health_thread_;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_ROUTER_H_
