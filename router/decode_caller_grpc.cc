// A call is a reactor that reads one message after another. It keeps itself until gRPC says that it is done; the
// handle shares it, so that a late Cancel finds its context alive. It also keeps its channel, which may be forgotten
// meanwhile.
//
// Tested by decode_caller_grpc_test.cc and router_test.cc.
#include "router/decode_caller_grpc.h"

#include <chrono>
#include <iterator>
#include <utility>

#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {

struct DecodeCallerGrpc::Peer {
  std::unique_ptr<node::v1::DecodeService::Stub> stub;
};

class DecodeCallerGrpc::Call : public DecodeCall, public grpc::ClientReadReactor<node::v1::DecodeResponse> {
 public:
  Call(DecodeCallerGrpc* owner, std::shared_ptr<Peer> peer, node::v1::DecodeRequest request, DecodeEvents events)
      : owner_(owner), peer_(std::move(peer)), request_(std::move(request)), events_(std::move(events)) {}

  void Begin(std::shared_ptr<Call> self, std::chrono::system_clock::time_point deadline) {
    self_ = std::move(self);
    context_.set_deadline(deadline);
    peer_->stub->async()->Decode(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

  void Cancel() override { context_.TryCancel(); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone follows
    events_.on_message(response_);
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    events_.on_done(FromGrpcStatus(status));
    events_ = {};  // lets go of the receiver, which holds this call
    DecodeCallerGrpc* const owner = owner_;
    self_ = nullptr;  // may delete this
    owner->CallEnded();
  }

  DecodeCallerGrpc* const owner_;
  const std::shared_ptr<Peer> peer_;
  node::v1::DecodeRequest request_;
  node::v1::DecodeResponse response_;
  grpc::ClientContext context_;
  DecodeEvents events_;
  std::shared_ptr<Call> self_;
};

DecodeCallerGrpc::DecodeCallerGrpc(const NodeRegistry* registry, const Clock* clock, const Membership* member)
    : registry_(registry), clock_(clock), member_(member) {}

DecodeCallerGrpc::~DecodeCallerGrpc() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(+[](int* live_calls) { return *live_calls == 0; }, &live_calls_));
}

void DecodeCallerGrpc::CallEnded() {
  absl::MutexLock lock(&mutex_);
  --live_calls_;
}

std::shared_ptr<DecodeCallerGrpc::Peer> DecodeCallerGrpc::PeerOf(const NodeSnapshot& node) {
  absl::MutexLock lock(&mutex_);
  if (const auto found = peers_.find(node.registration); found != peers_.end()) return found->second;
  for (auto it = peers_.begin(); it != peers_.end();) {
    it = registry_->IsRegistered(it->first) ? std::next(it) : peers_.erase(it);
  }
  auto peer = std::make_shared<Peer>();
  peer->stub = node::v1::DecodeService::NewStub(NewChannel(node.address, ToMember(member_, node.node_id)));
  peers_[node.registration] = peer;
  return peer;
}

size_t DecodeCallerGrpc::num_channels() const {
  absl::MutexLock lock(&mutex_);
  return peers_.size();
}

std::shared_ptr<DecodeCall> DecodeCallerGrpc::Start(const NodeSnapshot& node, node::v1::DecodeRequest request,
                                                    absl::Time deadline, DecodeEvents events) {
  auto call = std::make_shared<Call>(this, PeerOf(node), std::move(request), std::move(events));
  {
    absl::MutexLock lock(&mutex_);
    ++live_calls_;
  }
  call->Begin(call, DeadlineTo(deadline, *clock_));
  return call;
}

}  // namespace kedge
