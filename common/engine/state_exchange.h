// State(p) out of one sequence and into another, as the frames of an AnchorSegment (common/anchor/FORMAT.md).
#ifndef KEDGE_COMMON_ENGINE_STATE_EXCHANGE_H_
#define KEDGE_COMMON_ENGINE_STATE_EXCHANGE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/anchor/segment.h"
#include "common/base/payload.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"

namespace kedge {

// The header of State(end) of `content`: a pure function of ids, policy and the device's class and shape. Sender and
// receiver each compute it, and the receiver compares. REQUIRES: end <= content.ids.size().
SegmentHeader StateHeader(const Content& content, uint32_t end, const std::string& fingerprint,
                          const StepDevice& device);

// Sends a state while it is being computed: every row is final as soon as its step is done. Owned by one thread.
class StateSender {
 public:
  // `header` is of `sequence`'s content. Both outlive this or are copied.
  StateSender(const Sequence* sequence, SegmentHeader header);

  const SegmentHeader& header() const { return header_; }

  // Frames of all rows of the state that are computed and not yet taken; waits for the copies. Call it between a step
  // and Sequence::DropUnseen.
  absl::StatusOr<std::vector<Payload>> TakeFrames(StepDevice* device);

  // All rows were taken.
  bool complete() const { return next_row_ == header_.positions.size(); }

 private:
  const Sequence* sequence_;
  SegmentHeader header_;
  StateShape shape_;
  uint32_t next_row_ = 0;
  uint32_t next_frame_ = 0;
};

// Receives a state into a new sequence: each frame is checked before its rows are written, and they are visible to
// nobody before Commit. Owned by one thread.
class StateReceiver {
 public:
  // REQUIRES: sequence->position() == 0; it takes the state's ids as computed at once.
  // `expected`: the header as the receiver computed it itself.
  StateReceiver(Sequence* sequence, SegmentHeader expected);
  // Waits for copies under way: they read the frames.
  ~StateReceiver();
  StateReceiver(const StateReceiver&) = delete;
  StateReceiver& operator=(const StateReceiver&) = delete;

  // The first bytes to come. Errors as ParseSegmentHeader and CheckSegmentHeader.
  absl::Status AcceptHeader(absl::Span<const uint8_t> bytes);
  // Errors as FrameChecker::Accept; kFailedPrecondition before the header.
  absl::Status AcceptFrame(Payload frame, StepDevice* device);
  // kDataLoss unless all rows have come; waits for the copies.
  absl::Status Commit();

 private:
  absl::Status WaitForCopies();

  Sequence* sequence_;
  StateShape shape_;
  FrameChecker checker_;
  bool has_header_ = false;
  // Copies under way, and the bytes they read.
  struct Copy {
    Payload frame;
    std::vector<std::unique_ptr<StepFuture>> futures;
  };
  std::vector<Copy> copies_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STATE_EXCHANGE_H_
