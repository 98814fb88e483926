// From many requests to one step: who gets how many rows, and the launch.
#ifndef KEDGE_COMMON_ENGINE_STEP_H_
#define KEDGE_COMMON_ENGINE_STEP_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"

namespace kedge {

// What a request wants of a step.
struct Claim {
  uint32_t ready = 0;  // rows that may be computed now; 0: nothing to do
  uint32_t left = 0;   // rows until somebody has what he waits for, at least `ready`
};

// Divides `budget` rows among requests, in order of arrival.
//
// Requests that write, one row each, come first; then prompts with the fewest rows left, so that a short prompt
// does not wait for a long one; but a quarter of what prompts get goes to the oldest of them, so that a long one does
// not starve: it grows older until it is the oldest. Pure.
std::vector<uint32_t> DivideStep(absl::Span<const Claim> claims, uint32_t budget);

// Rows for who comes behind all requests: what they leave of the budget, or one where a step has room, so that he ends.
inline uint32_t RowsLeft(uint32_t used, uint32_t budget, uint32_t max_rows) {
  return used >= max_rows ? 0 : std::max(used < budget ? std::min(budget, max_rows) - used : 0u, 1u);
}

// One request's part of a step.
struct Slice {
  Sequence* sequence;
  uint32_t rows;
  WantedLogits logits = WantedLogits::kLast;
  std::optional<TokenChoice> choice;  // with kLast: a token instead of logits
  // The row behind the last known id, whose own is this output of the step before (Sequence::PlanUnknown).
  std::optional<uint32_t> chosen_before;
  uint64_t request = 0;  // whose it is: for StepUnderWay
};

// A step that was launched. Requests are named in it, not pointed to: they may be gone when it is done.
struct StepUnderWay {
  struct Part {
    uint64_t request = 0;
    uint32_t first_row = 0;
    uint32_t rows = 0;
    uint32_t first_mass = 0;         // how many rows of earlier parts want mass
    std::optional<uint32_t> output;  // of its last known row, or of the one behind
    bool is_taken_back = false;      // Sequence::TakeBack
  };
  std::unique_ptr<StepFuture> future;
  std::vector<Part> parts;  // one for each slice
  uint32_t rows = 0;
  uint64_t seen = 0;  // rows that attention reads, over all rows
  absl::Time launched;
};

// Plans one step, which has no future before `plan` is launched.
StepUnderWay PlanStep(absl::Span<const Slice> slices, absl::Time now, StepPlan* plan);
// Plans and launches it.
StepUnderWay LaunchStep(absl::Span<const Slice> slices, absl::Time now, StepDevice* device);
// Settles the sequence of a part: that its rows came to no numbers (StepFuture::CheckRows) is no other request's
// business. A sequence for which this fails cannot go on. REQUIRES: future->Wait() returned OK.
absl::Status SettlePart(const StepUnderWay& step, const StepUnderWay::Part& part, Sequence* sequence,
                        StepDevice* device);

// The same where all belong together and none goes before its step is done. Steps are finished in the order of their
// launch. Outputs come in the order of the slices' rows that have them.
std::unique_ptr<StepFuture> LaunchStep(absl::Span<const Slice> slices, StepDevice* device);
// Waits for the step of these slices and settles their sequences; the first status that is not OK, after which the
// sequences cannot go on.
absl::Status FinishStep(absl::Span<const Slice> slices, StepFuture* step, StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STEP_H_
