// RegistryService over gRPC: a node is in the registry for as long as its stream lives.
#ifndef KEDGE_ROUTER_REGISTRY_SERVICE_H_
#define KEDGE_ROUTER_REGISTRY_SERVICE_H_

#include <cstddef>
#include <memory>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/tls/membership.h"
#include "grpcpp/impl/service_type.h"
#include "router/node_registry.h"

namespace kedge {

struct RegistryServiceOptions {
  // Of all nodes together, whatever they have said: one more is refused.
  size_t max_streams = 2048;
  // Who does not say in this time who it is, or has registered and is silent for so long, is gone: its stream ends. The
  // node is long out of placement then (NodeRegistry::kHeartbeatLimit), and may register again.
  absl::Duration first_message_limit = absl::Seconds(5);
  absl::Duration silence_limit = absl::Seconds(30);
};

// With a membership, the peer's certificate must name the node_id and have the role of the node; without, the node's
// address must be loopback. Then the node is called back (call_back.h), and only then it is in the registry. A node
// whose certificate is revoked is expelled with its next heartbeat. All must outlive the service; `member` may be
// null. `timers` has a thread.
std::unique_ptr<grpc::Service> NewRegistryService(NodeRegistry* registry, const Membership* member, const Clock* clock,
                                                  Executor* timers, const RegistryServiceOptions& options = {});

}  // namespace kedge

#endif  // KEDGE_ROUTER_REGISTRY_SERVICE_H_
