// Tested by router_nodes_test.cc.
#include "router/node_asker_grpc.h"

#include <string>
#include <utility>

#include "common/rpc/channel.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "grpcpp/client_context.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {

struct NodeAskerGrpc::Call {
  std::unique_ptr<node::v1::KnownAnswerService::Stub> stub;
  grpc::ClientContext context;
  node::v1::KnownAnswerRequest request;
  node::v1::KnownAnswerResponse response;
};

NodeAskerGrpc::~NodeAskerGrpc() {
  absl::MutexLock lock(&mutex_);
  for (const std::shared_ptr<Call>& call : calls_) call->context.TryCancel();
  mutex_.Await(absl::Condition(
      +[](std::set<std::shared_ptr<Call>>* calls) { return calls->empty(); }, &calls_));
}

void NodeAskerGrpc::Ask(const NodeSnapshot& node, const std::vector<uint32_t>& ids, Answered answered) {
  auto call = std::make_shared<Call>();
  call->stub = node::v1::KnownAnswerService::NewStub(NewChannel(node.address, ToMember(member_, node.node_id)));
  call->context.set_deadline(DeadlineIn(kTimeout));
  call->request.mutable_ids()->Add(ids.begin(), ids.end());
  {
    absl::MutexLock lock(&mutex_);
    calls_.insert(call);
  }
  call->stub->async()->Answer(&call->context, &call->request, &call->response,
                              [this, call, answered = std::move(answered)](const grpc::Status& status) {
                                if (status.ok()) {
                                  answered(call->response.hash());
                                } else {
                                  answered(FromGrpcStatus(status));
                                }
                                absl::MutexLock lock(&mutex_);
                                calls_.erase(call);
                              });
}

}  // namespace kedge
