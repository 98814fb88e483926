// The rows of a prompt's beginning, computed once and kept on the host, from which any number of sequences go on.
#ifndef KEDGE_EVAL_PREFIX_H_
#define KEDGE_EVAL_PREFIX_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/anchor/salience.h"
#include "common/base/payload.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"

namespace kedge {

// The policy that every other one is compared with.
inline const Policy kFullAttention = {.recent = Policy::kAll};

// State(end) of one content, as bytes in the order of a frame. `end` 0: nothing. Under full attention these are all
// rows before `end`, and they serve as the beginning of every prompt whose rows are computed in full, whatever is kept
// later.
struct PrefixState {
  uint32_t end = 0;
  Payload rows;
  std::optional<EarlierSalience> salience;  // what was gathered on the way, under a policy that chooses
};

// Computes rows of `content` in steps of the device's size and reads State(end) out for each of `ends` (ascending, each
// at most ids.size()). Under `prefill=full` the prompt goes on behind the ids: nothing is reduced, and the states are
// all rows. `heads`: whose attention is gathered on the way where the policy chooses sequences.
absl::StatusOr<std::vector<PrefixState>> ComputePrefix(Content content, absl::Span<const uint32_t> ends,
                                                       const SalienceHeads& heads, StepDevice* device);

// Whether a prompt's rows before the last one are those of full attention.
bool HasFullPrefill(const Policy& policy);

// The latest end of a state from which a prompt of `prompt_length` ids can go on under the policy: what comes later the
// sequence has to compute itself. REQUIRES: prompt_length > 0.
uint32_t LatestFork(const Policy& policy, uint32_t prompt_length);

// A sequence over `content` that goes on from `state`, with room for `max_new` more ids. The first state.end ids, and
// what the policy makes of them, are those that the state was computed with (HasFullPrefill: in full). Where a choice
// stands on rows of other sequences than those, the sequence computes all rows itself. `heads` choose salient sequences
// and outlive the result. kResourceExhausted: the pool has too few pages left; nothing was taken.
// REQUIRES: state.end is at most LatestFork.
absl::StatusOr<std::unique_ptr<Sequence>> GoOnFrom(const PrefixState& state, Content content,
                                                   const SalienceHeads* heads, uint32_t max_new, PagePool* pool,
                                                   StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_EVAL_PREFIX_H_
