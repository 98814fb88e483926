// Fuzz target of what a prefill node's messages are decoded from: protobuf's fields, and one that is read by hand.
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/testing/fuzz_driver.h"
#include "common/transfer/state_message.h"
#include "google/protobuf/stubs/logging.h"

namespace {

using kedge::StateEvent;

std::string Text(grpc::ByteBuffer buffer) {
  grpc::Slice slice;
  KEDGE_CHECK(buffer.DumpToSingleSlice(&slice).ok());
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

void Try(grpc::ByteBuffer buffer, size_t size) {
  const absl::StatusOr<StateEvent> event = kedge::DecodeStateEvent(std::move(buffer));
  if (!event.ok()) return;
  KEDGE_CHECK(event->wire_bytes == size);
  // What was understood is understood again.
  const absl::StatusOr<StateEvent> again = kedge::DecodeStateEvent(kedge::EncodeStateEvent(*event));
  KEDGE_CHECK(again.ok() && again->event.index() == event->event.index());
  if (const auto* frame = std::get_if<kedge::StateFrame>(&event->event)) {
    KEDGE_CHECK(std::get<kedge::StateFrame>(again->event).frame.bytes == frame->frame.bytes);
    KEDGE_CHECK(frame->frame.bytes.size() < size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  google::protobuf::SetLogHandler(nullptr);
  const grpc::Slice whole(data, size);
  Try(grpc::ByteBuffer(&whole, 1), size);
  // The same as it may come: in two pieces.
  const grpc::Slice pieces[] = {grpc::Slice(data, size / 2), grpc::Slice(data + size / 2, size - size / 2)};
  Try(grpc::ByteBuffer(pieces, 2), size);
  return 0;
}

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (StateEvent event : std::vector<StateEvent>{{kedge::StateAccepted{.tokens_ahead = 300}},
                                                  {kedge::StateProgress{.computed = 7}},
                                                  {kedge::StateHead{kedge::Payload::Own({1, 2, 3}), 9}},
                                                  {kedge::StateFrame{kedge::Payload::Own(std::vector<uint8_t>(200, 5))}},
                                                  {kedge::StateEnded{absl::OkStatus()}}}) {
    seeds.push_back(Text(kedge::EncodeStateEvent(event)));
  }
  return seeds;
}
