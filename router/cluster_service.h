// ClusterService over gRPC: shows the registry.
#ifndef KEDGE_ROUTER_CLUSTER_SERVICE_H_
#define KEDGE_ROUTER_CLUSTER_SERVICE_H_

#include <memory>

#include "grpcpp/impl/service_type.h"
#include "router/node_registry.h"

namespace kedge {

// `registry` must outlive the service.
std::unique_ptr<grpc::Service> NewClusterService(const NodeRegistry* registry);

}  // namespace kedge

#endif  // KEDGE_ROUTER_CLUSTER_SERVICE_H_
