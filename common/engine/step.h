// From many requests to one step: who gets how many rows, and the launch.
#ifndef KEDGE_COMMON_ENGINE_STEP_H_
#define KEDGE_COMMON_ENGINE_STEP_H_

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

// One request's part of a step.
struct Slice {
  Sequence* sequence;
  uint32_t rows;
  WantedLogits logits = WantedLogits::kLast;
  std::optional<TokenChoice> choice;  // with kLast: a token instead of logits
};

// Plans and launches one step. Outputs come in the order of the slices' rows that have them.
std::unique_ptr<StepFuture> LaunchStep(absl::Span<const Slice> slices, StepDevice* device);

// Waits for the step of these slices and settles their sequences. To be called before the next launch. One status for
// each slice: that its rows came to no numbers (StepFuture::CheckRows) is no other request's business. A sequence whose
// slice failed cannot go on.
std::vector<absl::Status> FinishEach(absl::Span<const Slice> slices, StepFuture* step, StepDevice* device);
// The same where all belong together: the first that is not OK.
absl::Status FinishStep(absl::Span<const Slice> slices, StepFuture* step, StepDevice* device);

// Sizes steps by time: so many rows that a step takes about `target`. A step that is too long delays every request that
// joins, and every sign of life. A step takes a base, for reading the weights, and so much for each row: steps that are
// full or nearly so teach what rows cost, and smaller ones, of a few answers, where the base lies. Owned by one thread.
class StepPacer {
 public:
  StepPacer(absl::Duration target, uint32_t max_rows) : target_(target), max_rows_(max_rows) {}

  uint32_t budget() const;
  void Record(uint32_t rows, absl::Duration took);

 private:
  // Of recent steps.
  struct Average {
    double rows = 0;  // 0: there were none
    double seconds = 0;
    void Add(double more_rows, double more_seconds);
  };

  const absl::Duration target_;
  const uint32_t max_rows_;
  Average full_;   // of more rows than half the budget
  Average small_;  // of fewer
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STEP_H_
