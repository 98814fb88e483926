// RegistryService over gRPC: a node is in the registry for as long as its stream lives.
#ifndef KEDGE_ROUTER_REGISTRY_SERVICE_H_
#define KEDGE_ROUTER_REGISTRY_SERVICE_H_

#include <memory>

#include "common/tls/membership.h"
#include "grpcpp/impl/service_type.h"
#include "router/node_registry.h"

namespace kedge {

// With a membership, the peer's certificate must name the node_id and have the role of the node; without, the node's
// address must be loopback. Then the node is called back (call_back.h), and only then it is in the registry. A node
// whose certificate is revoked is expelled with its next heartbeat. Both must outlive the service; `member` may be
// null.
std::unique_ptr<grpc::Service> NewRegistryService(NodeRegistry* registry, const Membership* member);

}  // namespace kedge

#endif  // KEDGE_ROUTER_REGISTRY_SERVICE_H_
