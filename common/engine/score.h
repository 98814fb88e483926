// Log probabilities of given tokens, computed in the three ways whose equality is Kedge's central claim.
#ifndef KEDGE_COMMON_ENGINE_SCORE_H_
#define KEDGE_COMMON_ENGINE_SCORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/anchor/content.h"
#include "common/anchor/salience.h"
#include "common/kernels/step.h"
#include "common/kv/held_rows.h"

namespace kedge {

struct Score {
  std::vector<double> logprobs;  // n-1: natural log of the probability of token i+1 given 0..i
  uint64_t kept_rows = 0;        // rows of State(n): what a next row that is no anchor could see
  uint64_t segment_bytes = 0;    // bytes that crossed from engine to engine; 0 but for ScoreSplit
  uint32_t held_rows = 0;        // rows that did not, because they were held
  // Positions of the prompt that its last row sees (VisiblePrompt); empty if there is no prompt.
  std::vector<PositionRange> kept_ranges;
  std::optional<std::vector<PositionRange>> salient;  // the choice that was made or given
};

// `heads`: whose attention chooses salient sequences; needed where the policy has some and the content no choice.

// One full forward pass under the policy's mask: all rows in one step, or, under `prefill=full`, in one step up to the
// reduction and one behind it. REQUIRES: the device takes that many rows.
absl::StatusOr<Score> ScoreWhole(const Content& content, const SalienceHeads& heads, StepDevice* device);

// Token by token, freeing after each step every row that no later row may see (REDUCTION).
absl::StatusOr<Score> ScoreSteps(const Content& content, const SalienceHeads& heads, StepDevice* device);

// The first `split` tokens on `first` in chunks of `chunk` rows; State(split) through the bytes of an AnchorSegment
// into `second`; the rest there in chunks. `fingerprint`: of the model both devices have loaded. kInvalidArgument if
// under `prefill=full` the split is before the prompt's last row. `held`: rows that `second` holds from earlier states
// and that do not cross again; null: none.
absl::StatusOr<Score> ScoreSplit(const Content& content, const SalienceHeads& heads, uint32_t split, uint32_t chunk,
                                 const std::string& fingerprint, StepDevice* first, StepDevice* second,
                                 HeldRows* held = nullptr);

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_SCORE_H_
