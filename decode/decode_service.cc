// Tested by tests/node_grpc_test.cc.
#include "decode/decode_service.h"

#include <memory>
#include <utility>

#include "common/rpc/deadline.h"
#include "common/rpc/decode_merge.h"
#include "common/rpc/status.h"
#include "common/rpc/stream_writer.h"
#include "decode/decode_messages.h"

namespace kedge {

using node::v1::DecodeResponse;

grpc::ServerWriteReactor<DecodeResponse>* DecodeServiceImpl::Decode(grpc::CallbackServerContext* context,
                                                                    const node::v1::DecodeRequest* request) {
  // Written and read in the loop alone; 0: not in the engine.
  auto id = std::make_shared<DecodeEngine::JobId>(0);
  auto writer = StreamWriter<DecodeResponse>::Create(
      {.on_cancel = [this, id] { loop_->Post([this, id] { engine_->Cancel(*id); }); }, .merge = MergeDecodeResponses});
  absl::StatusOr<DecodeJob> job = DecodeJobFromProto(*request, DeadlineFrom(context->deadline(), *clock_));
  if (const absl::Status status = CheckCandidates(*request, member_); !status.ok()) job = status;
  if (!job.ok()) {
    writer->End(ToGrpcStatus(job.status()));
    return writer.get();
  }
  auto shared = std::make_shared<DecodeJob>(*std::move(job));
  auto sink = std::make_shared<DecodeMessageSink>(
      DecodeMessageSink::Output{.message = [writer](DecodeResponse response) { writer->Write(std::move(response)); },
                                .end = [writer](const absl::Status& status) { writer->End(ToGrpcStatus(status)); }},
      numerics_class_, row_bytes_);
  loop_->Enter([this, id, shared, sink] { *id = engine_->Add(std::move(*shared), sink); });
  return writer.get();
}

}  // namespace kedge
