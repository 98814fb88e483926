// RegistryService over gRPC: a node is in the registry for as long as its stream lives.
#ifndef KEDGE_ROUTER_REGISTRY_SERVICE_H_
#define KEDGE_ROUTER_REGISTRY_SERVICE_H_

#include <memory>

#include "grpcpp/impl/service_type.h"
#include "router/node_registry.h"

namespace kedge {

// `registry` must outlive the service.
std::unique_ptr<grpc::Service> NewRegistryService(NodeRegistry* registry);

}  // namespace kedge

#endif  // KEDGE_ROUTER_REGISTRY_SERVICE_H_
