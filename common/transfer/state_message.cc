// A serialized proto is a run of fields, and runs can be concatenated: everything but the payload is left to protobuf,
// the payload's tag and length are written by hand, and its bytes are a slice that refers to the frame itself.
// Tested by state_message_test.cc.
#include "common/transfer/state_message.h"

#include <string>
#include <utility>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {
namespace {

using google::protobuf::internal::WireFormatLite;
using node::v1::PrefillResponse;

constexpr uint32_t kPayloadTag =
    WireFormatLite::MakeTag(PrefillResponse::kPayloadFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

// A slice that keeps `payload` alive.
grpc::Slice SliceOf(const Payload& payload) {
  auto* owner = new Payload(payload);
  return grpc::Slice(
      const_cast<uint8_t*>(owner->bytes.data()), owner->bytes.size(), [](void* p) { delete static_cast<Payload*>(p); },
      owner);
}

grpc::ByteBuffer Encode(const PrefillResponse& response, const Payload* payload) {
  std::string head = response.SerializeAsString();
  if (payload == nullptr || payload->bytes.empty()) {
    const grpc::Slice slice(head);
    return grpc::ByteBuffer(&slice, 1);
  }
  uint8_t prefix[10];
  uint8_t* end = google::protobuf::io::CodedOutputStream::WriteVarint32ToArray(kPayloadTag, prefix);
  end =
      google::protobuf::io::CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(payload->bytes.size()), end);
  head.append(reinterpret_cast<char*>(prefix), end - prefix);
  const grpc::Slice slices[] = {grpc::Slice(head), SliceOf(*payload)};
  return grpc::ByteBuffer(slices, 2);
}

}  // namespace

grpc::ByteBuffer EncodeStateEvent(const StateEvent& event) {
  PrefillResponse response;
  if (const auto* accepted = std::get_if<StateAccepted>(&event.event)) {
    response.mutable_accepted()->set_tokens_ahead(accepted->tokens_ahead);
    return Encode(response, nullptr);
  }
  if (const auto* head = std::get_if<StateHead>(&event.event)) {
    response.mutable_header()->set_cached_tokens(head->cached_tokens);
    return Encode(response, &head->header);
  }
  if (const auto* progress = std::get_if<StateProgress>(&event.event)) {
    response.mutable_progress()->set_computed(progress->computed);
    return Encode(response, nullptr);
  }
  if (const auto* frame = std::get_if<StateFrame>(&event.event)) {
    response.mutable_frame();
    return Encode(response, &frame->frame);
  }
  response.mutable_done();
  return Encode(response, nullptr);
}

absl::StatusOr<StateEvent> DecodeStateEvent(grpc::ByteBuffer buffer) {
  // One flat slice; it refers to the received bytes where they came in one piece, and is a copy otherwise.
  auto slice = std::make_shared<grpc::Slice>();
  if (!buffer.TrySingleSlice(slice.get()).ok() && !buffer.DumpToSingleSlice(slice.get()).ok()) {
    return absl::InternalError("prefill response: can't be read");
  }
  const int size = static_cast<int>(slice->size());
  google::protobuf::io::CodedInputStream input(slice->begin(), size);
  int head_size = size;
  Payload payload;
  for (int at = 0; at < size; at = input.CurrentPosition()) {
    const uint32_t tag = input.ReadTag();
    if (tag != kPayloadTag) {
      if (tag == 0 || !WireFormatLite::SkipField(&input, tag)) {
        return absl::InternalError("prefill response: is not a message");
      }
      continue;
    }
    uint32_t length = 0;
    if (!input.ReadVarint32(&length) || length != static_cast<uint32_t>(size - input.CurrentPosition())) {
      return absl::InternalError("prefill response: payload is not the last field");
    }
    head_size = at;
    payload = {slice, absl::MakeConstSpan(slice->begin() + input.CurrentPosition(), length)};
    break;
  }
  PrefillResponse response;
  if (!response.ParseFromArray(slice->begin(), head_size)) {
    return absl::InternalError("prefill response: is not a message");
  }
  StateEvent event{.wire_bytes = static_cast<uint64_t>(size)};
  switch (response.event_case()) {
    case PrefillResponse::kAccepted:
      event.event = StateAccepted{response.accepted().tokens_ahead()};
      return event;
    case PrefillResponse::kHeader:
      event.event = StateHead{std::move(payload), response.header().cached_tokens()};
      return event;
    case PrefillResponse::kProgress:
      event.event = StateProgress{response.progress().computed()};
      return event;
    case PrefillResponse::kFrame:
      event.event = StateFrame{std::move(payload)};
      return event;
    case PrefillResponse::kDone:
      event.event = StateEnded{absl::OkStatus()};
      return event;
    case PrefillResponse::EVENT_NOT_SET:
      break;
  }
  return absl::InternalError("prefill response: event is not set");
}

}  // namespace kedge
