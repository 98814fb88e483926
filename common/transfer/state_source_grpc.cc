// A server-streaming call on raw bytes: gRPC's generic stub, which knows only bidirectional calls (the wire is the
// same: one message, then the client's half is closed). Tested by tests/node_grpc_test.cc.
#include "common/transfer/state_source_grpc.h"

#include <utility>

#include "common/rpc/channel.h"
#include "common/rpc/convert.h"
#include "common/rpc/status.h"
#include "common/transfer/state_message.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"

namespace kedge {
namespace {

constexpr char kMethod[] = "/kedge.node.v1.PrefillService/Prefill";

// Keeps itself alive until OnDone.
class FetchReactor : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  FetchReactor(std::shared_ptr<grpc::Channel> channel, StateSource::OnEvent on_event)
      : stub_(std::move(channel)), on_event_(std::move(on_event)) {}

  void Start(const StateRequest& request, absl::Time deadline, std::shared_ptr<FetchReactor> self) {
    self_ = std::move(self);
    node::v1::PrefillRequest proto;
    proto.set_request_id(request.request_id);
    *proto.mutable_content() = ContentToProto(request.content, request.fingerprint);
    proto.set_kv_type(request.kv_type);
    const grpc::Slice slice(proto.SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
    if (deadline != absl::InfiniteFuture()) context_.set_deadline(DeadlineTo(deadline));
    stub_.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&response_);
    StartCall();
  }

  void Cancel() { context_.TryCancel(); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone follows
    absl::StatusOr<StateEvent> event = DecodeStateEvent(std::exchange(response_, {}));
    if (!event.ok()) {
      error_ = event.status();
      context_.TryCancel();
    } else if (std::holds_alternative<StateEnded>(event->event)) {
      done_bytes_ = event->wire_bytes;  // the end is told once, with the call's status
      saw_done_ = true;
    } else {
      on_event_(*std::move(event));
    }
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status end = !error_.ok() ? error_ : FromGrpcStatus(status);
    if (end.ok() && !saw_done_) end = absl::DataLossError("prefill response: the stream ended without done");
    on_event_({StateEnded{std::move(end)}, done_bytes_});
    self_.reset();
  }

  grpc::GenericStub stub_;
  const StateSource::OnEvent on_event_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  absl::Status error_;
  uint64_t done_bytes_ = 0;
  bool saw_done_ = false;
  std::shared_ptr<FetchReactor> self_;
};

class GrpcStateCall : public StateCall {
 public:
  explicit GrpcStateCall(std::shared_ptr<FetchReactor> reactor) : reactor_(std::move(reactor)) {}
  ~GrpcStateCall() override { reactor_->Cancel(); }

 private:
  std::shared_ptr<FetchReactor> reactor_;
};

}  // namespace

std::unique_ptr<StateCall> GrpcStateSource::Fetch(const std::string& address, const StateRequest& request,
                                                  absl::Time deadline, OnEvent on_event) {
  std::shared_ptr<grpc::Channel> channel;
  {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<grpc::Channel>& cached = channels_[address];
    if (cached == nullptr) cached = NewChannel(address, {.own_connection = true});
    channel = cached;
  }
  auto reactor = std::make_shared<FetchReactor>(std::move(channel), std::move(on_event));
  reactor->Start(request, deadline, reactor);
  return std::make_unique<GrpcStateCall>(std::move(reactor));
}

}  // namespace kedge
