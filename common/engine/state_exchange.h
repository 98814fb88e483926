// State(p) out of one sequence and into another, as the frames of an AnchorSegment (common/anchor/FORMAT.md).
#ifndef KEDGE_COMMON_ENGINE_STATE_EXCHANGE_H_
#define KEDGE_COMMON_ENGINE_STATE_EXCHANGE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/segment.h"
#include "common/base/payload.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"
#include "common/kv/held_rows.h"

namespace kedge {

// The header of State(end) of `content`: a pure function of ids, policy and the device's class and shape. Sender and
// receiver each compute it, and the receiver compares. REQUIRES: end <= content.ids.size(), under `prefill=full` at
// least prompt_length - 1, and a salient choice has been made if there is to be one.
SegmentHeader StateHeader(const Content& content, uint32_t end, const std::string& fingerprint,
                          const StepDevice& device);

// kFailedPrecondition, with the field's name, unless this node serves the model `fingerprint`.
absl::Status CheckOwnModel(const std::string& fingerprint, const std::string& own_fingerprint);
// The same, and its rows are of this type.
absl::Status CheckOwnRows(const std::string& fingerprint, const std::string& kv_type,
                          const std::string& own_fingerprint, const StepDevice& device);

// kInvalidArgument unless a receiver may hold rows at these positions: complete rows of the prompt, under
// `prefill=full`, in ascending ranges. `content`: of the state asked for.
absl::Status CheckHeld(absl::Span<const PositionRange> held, const Content& content);

// Sends a state while it is being computed: every row is final as soon as its step is done (under `prefill=full`, as
// soon as the prompt is reduced). Owned by one thread.
class StateSender {
 public:
  // Of State(end) of `sequence`, which outlives the last call of TakeHeader and of StartFrames. `fingerprint`: of the
  // device's model. `held`: positions of rows that the receiver has, which are left out (CheckHeld).
  StateSender(const Sequence* sequence, uint32_t end, std::string fingerprint, std::vector<PositionRange> held = {})
      : sequence_(sequence), end_(end), fingerprint_(std::move(fingerprint)), held_(std::move(held)) {}

  // The header's bytes: once, as soon as it is known. Frames follow it.
  std::optional<Payload> TakeHeader(const StepDevice& device);

  // Has the device copy all rows of the state that are computed and were not copied yet. Call it after Settle and
  // before Sequence::DropUnseen. `to_stay`: into plain memory, for frames that do not leave at once: what a device
  // copies to fastest is scarce, and it keeps that.
  void StartFrames(StepDevice* device, bool to_stay = false);
  // Frames of rows that have been copied, in their order. `wait`: for all whose copies were started.
  absl::StatusOr<std::vector<Payload>> TakeFrames(bool wait);

  // REQUIRES: the header was taken.
  const ChainKey& name() const { return header_->chain; }
  uint64_t num_bytes() const { return following_.size() * header_->shape.row_bytes(); }  // of the frames' rows

  // Copies were started whose frames were not taken yet.
  bool copying() const { return !copies_.empty(); }
  // All rows were taken.
  bool complete() const { return header_.has_value() && next_row_ == following_.size() && !copying(); }

 private:
  // Under way, or done. May be destroyed before it is: the device keeps the bytes.
  struct Copy {
    FrameHeader header;
    RowBuffer frame;  // its header is still to be written
    std::unique_ptr<StepFuture> done;
  };

  const Sequence* sequence_;
  const uint32_t end_;
  const std::string fingerprint_;
  const std::vector<PositionRange> held_;
  std::optional<SegmentHeader> header_;
  StateShape shape_;
  std::vector<uint32_t> following_;  // rows of the state that are not left out
  uint32_t next_row_ = 0;            // of these
  uint32_t next_frame_ = 0;
  std::deque<Copy> copies_;
};

// Receives a state into a new sequence: each frame is checked before its rows are written, and they are visible to
// nobody before Commit. Rows that are held already need not come, and those that come are held from then on. Owned by
// one thread.
class StateReceiver {
 public:
  // State(end) of `sequence`, which outlives this. `fingerprint`: of the device's model. `held`, which outlives this:
  // where complete rows are held; null: nowhere. REQUIRES: sequence->position() == 0.
  StateReceiver(Sequence* sequence, uint32_t end, std::string fingerprint, HeldRows* held = nullptr);
  StateReceiver(const StateReceiver&) = delete;
  StateReceiver& operator=(const StateReceiver&) = delete;

  // Positions of rows of the prompt's beginning that are held, for the request: the sender may leave them out. They
  // stay held until the header has come.
  std::vector<PositionRange> held() const;

  // The first bytes to come. The header must be what follows from the sequence's content; where that has no salient
  // choice yet, it takes the header's, and keeps it. Has the device write the rows that are left out. Errors as
  // ParseSegmentHeader and CheckSegmentHeader; kDataLoss for a choice that the policy does not grant, for a row left
  // out that held() does not have, and for a second header.
  absl::Status AcceptHeader(absl::Span<const uint8_t> bytes, StepDevice* device);
  // `checksum`: FrameChecksum of the frame's bytes and the header's chain. Errors as FrameChecker::Accept;
  // kFailedPrecondition before the header.
  absl::Status AcceptFrame(Payload frame, uint64_t checksum, StepDevice* device);
  // kDataLoss unless all rows have come. The device may still be copying: steps come in their turn.
  absl::Status Commit();

  // Rows of the state that were held and did not come.
  uint32_t num_left_out() const { return num_left_out_; }

 private:
  absl::StatusOr<std::vector<HeldRows::Row>> LeftOut(const SegmentHeader& header) const;
  void WriteHeld(const Sequence::Places& places, absl::Span<const HeldRows::Row> rows, StepDevice* device);

  Sequence* sequence_;
  const uint32_t end_;
  const std::string fingerprint_;
  HeldRows* const held_;
  std::vector<ChainKey> names_;          // HeldRows::Names
  std::vector<HeldRows::Row> promised_;  // found in `held_`, until the header has come
  StateShape shape_;
  std::vector<uint32_t> following_;      // rows of the state that are not left out
  uint32_t num_left_out_ = 0;
  std::optional<FrameChecker> checker_;  // once there is a header
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STATE_EXCHANGE_H_
