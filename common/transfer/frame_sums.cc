// Tested by frame_sums_test.cc.
#include "common/transfer/frame_sums.h"

#include <variant>

#include "absl/status/statusor.h"
#include "common/anchor/segment.h"

namespace kedge {

void FrameSums::Add(StateEvent* event) {
  if (const auto* head = std::get_if<StateHead>(&event->event)) {
    const absl::StatusOr<SegmentHeader> header = ParseSegmentHeader(head->header.bytes);
    if (header.ok()) chain_ = header->chain;
  } else if (auto* frame = std::get_if<StateFrame>(&event->event); frame != nullptr && chain_.has_value()) {
    frame->checksum = FrameChecksum(frame->frame.bytes, *chain_);
  }
}

}  // namespace kedge
