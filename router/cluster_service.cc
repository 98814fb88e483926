// Copies a snapshot into the reply.
//
// Tested by router_nodes_test.cc.
#include "router/cluster_service.h"

#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"

namespace kedge {
namespace {

class ClusterServiceImpl : public inference::v1::ClusterService::CallbackService {
 public:
  explicit ClusterServiceImpl(const NodeRegistry* registry) : registry_(registry) {}

  grpc::ServerUnaryReactor* ListNodes(grpc::CallbackServerContext* context, const inference::v1::ListNodesRequest*,
                                      inference::v1::ListNodesResponse* response) override {
    for (const NodeSnapshot& node : registry_->Snapshot().nodes) {
      inference::v1::Node* listed = response->add_nodes();
      listed->set_node_id(node.node_id);
      listed->set_role(node.role == NodeRole::kPrefill ? inference::v1::NODE_ROLE_PREFILL
                                                       : inference::v1::NODE_ROLE_DECODE);
      listed->set_address(node.address);
      listed->set_ready(node.ready);
      listed->set_out(node.out);
      listed->set_numerics_class(node.numerics_class);
      listed->set_engine_steps(node.engine_steps);
      listed->set_running_requests(node.running_requests);
      listed->set_waiting_requests(node.waiting_requests);
      listed->set_reserved_rows(node.reserved_rows);
      listed->set_total_rows(node.total_rows);
      listed->set_cached_rows(node.cached_rows);
      listed->set_held_rows(node.held_rows);
    }
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const NodeRegistry* const registry_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewClusterService(const NodeRegistry* registry) {
  return std::make_unique<ClusterServiceImpl>(registry);
}

}  // namespace kedge
