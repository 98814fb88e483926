// Tested by tests/node_grpc_test.cc.
#include "common/transfer/prefill_service.h"

#include <memory>
#include <utility>

#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "common/rpc/stream_writer.h"
#include "common/transfer/state_message.h"
#include "common/transfer/state_request.h"

namespace kedge {
namespace {

using Writer = StreamWriter<grpc::ByteBuffer>;

class WriterSink : public StateSink {
 public:
  explicit WriterSink(std::shared_ptr<Writer> writer) : writer_(std::move(writer)) {}

  void Send(StateEvent event) override {
    const auto* ended = std::get_if<StateEnded>(&event.event);
    if (ended == nullptr || ended->status.ok()) writer_->Write(EncodeStateEvent(event));
    if (ended != nullptr) writer_->End(ToGrpcStatus(ended->status));
  }

  bool Congested() const override { return writer_->queued() > kMaxQueuedFrames; }

 private:
  static constexpr size_t kMaxQueuedFrames = 64;  // of at most 1 MiB each

  std::shared_ptr<Writer> writer_;
};

absl::StatusOr<StateRequest> ParseRequest(grpc::ByteBuffer buffer) {
  grpc::Slice slice;
  node::v1::PrefillRequest proto;
  if (!buffer.DumpToSingleSlice(&slice).ok() || !proto.ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) {
    return absl::InvalidArgumentError("prefill request: is not a message");
  }
  return StateRequestFromProto(proto);
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* PrefillServiceImpl::Prefill(grpc::CallbackServerContext* context,
                                                                        const grpc::ByteBuffer* buffer) {
  // Written and read in the loop alone; 0: not in the server.
  auto job = std::make_shared<StateServer::JobId>(0);
  auto writer = Writer::Create({.on_cancel = [this, job] { loop_->Post([this, job] { server_->Cancel(*job); }); }});
  absl::StatusOr<StateRequest> request = ParseRequest(*buffer);
  if (!request.ok()) {
    writer->End(ToGrpcStatus(request.status()));
    return writer.get();
  }
  auto shared = std::make_shared<StateRequest>(*std::move(request));
  const absl::Time deadline = DeadlineFrom(context->deadline(), *clock_);
  loop_->Enter([this, job, shared, deadline, sink = std::make_shared<WriterSink>(writer)] {
    *job = server_->Add(std::move(*shared), sink, deadline);
  });
  return writer.get();
}

}  // namespace kedge
