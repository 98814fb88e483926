// ModelService over gRPC: what is served, and its tokenizer.
#ifndef KEDGE_ROUTER_MODEL_SERVICE_H_
#define KEDGE_ROUTER_MODEL_SERVICE_H_

#include <memory>

#include "grpcpp/impl/service_type.h"
#include "router/callers.h"
#include "router/node_registry.h"
#include "router/request_intake.h"
#include "router/request_parser.h"

namespace kedge {

// All must outlive the service.
std::unique_ptr<grpc::Service> NewModelService(const Callers* callers, const RouterModel* model,
                                               const RequestParser* parser, const NodeRegistry* registry,
                                               RequestIntake* intake);

}  // namespace kedge

#endif  // KEDGE_ROUTER_MODEL_SERVICE_H_
