// A prompt's rows before its last one, computed once, and the State(n-1) that each of several policies takes of them.
//
// Under `prefill=full` the rows before n-1 are those of full attention, whatever is kept of them. So one computation
// serves full attention and all such policies, and what a policy keeps is copied out of it, as a decode node would
// receive it. Policies that mask the prompt have rows of their own.
#ifndef KEDGE_EVAL_COMPUTED_PROMPT_H_
#define KEDGE_EVAL_COMPUTED_PROMPT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/anchor/salience.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"
#include "eval/continuation.h"
#include "eval/prefix.h"
#include "eval/rounding.h"

namespace kedge {

// Whether the same computation serves both: equal policies, or two whose prompts are computed in full and of which at
// most one chooses, or both choose among the same sequences.
bool ShareRows(const Policy& a, const Policy& b);

// Of policies that share rows, the one under which they are computed: the first that chooses, so that the attention is
// observed that all of them choose by. Of none: full attention.
const Policy& ComputingPolicy(absl::Span<const Policy> policies);

// Holds pages of the pool that it was computed with. Owned by one thread.
struct ComputedPrompt {
  std::unique_ptr<Sequence> sequence;  // at row n-1; none of its rows was dropped
  // The prompt under each policy, its choice made.
  std::vector<Content> contents;
};

// Computes rows [state.end, n-1) of each prompt, in shared steps: of as many, from the first on, as leave half of the
// pool free, but of one at least. All go on from `state`, which was computed under ComputingPolicy(policies) and ends
// at most at that policy's LatestFork. kResourceExhausted: not even one has room.
// REQUIRES: `policies` share rows; `heads` outlives the result.
absl::StatusOr<std::vector<ComputedPrompt>> ComputePrompts(const PrefixState& state,
                                                           absl::Span<const Continuation* const> prompts,
                                                           absl::Span<const Policy> policies,
                                                           const SalienceHeads& heads, PagePool* pool,
                                                           StepDevice* device);

// [layers * kv_heads]: positions, ascending and as many for each.
using HeadRows = std::vector<std::vector<uint32_t>>;

// What goes on from one prompt.
struct Following {
  Content content;              // one of ComputedPrompt::contents, or one of these with another choice
  std::vector<uint32_t> given;  // known ids behind the prompt; the last of them is not computed
  uint32_t max_new = 0;         // room for so many more
  int bits = 0;                 // of the values of State(n-1)'s rows (rounding.h); 0: as they are
  // What stands in the places of State(n-1)'s rows before its recent ones, as many. Null: these rows themselves.
  // REQUIRES otherwise: the prompt was computed in full, and all its kept rows stand before the recent ones.
  std::shared_ptr<const HeadRows> head_rows;
};

// A sequence at row n-1, with the rows of its State(n-1). kResourceExhausted: the pool has too few pages left.
absl::StatusOr<std::unique_ptr<Sequence>> TakeState(const ComputedPrompt& prompt, Following following, PagePool* pool,
                                                    StepDevice* device);

// A sequence over the prompt's rows before n-1, at row `begin` (at most n-1), under full attention: the rows from there
// on can be computed once more. REQUIRES: the prompt was computed in full. kResourceExhausted as above.
absl::StatusOr<std::unique_ptr<Sequence>> Repeat(const ComputedPrompt& prompt, uint32_t begin, PagePool* pool,
                                                 StepDevice* device);

// Puts into the first of `rows`, for each head, its own of `all` rows. Both are in the order of a frame.
void PutHeadRows(const RowShape& shape, const HeadRows& head_rows, absl::Span<const uint8_t> all,
                 absl::Span<uint8_t> rows);

// State(n-1) as a prefill node would send it.
struct StateSize {
  uint64_t rows = 0;
  uint64_t bytes = 0;  // as a segment, headers included
};
// `bits` as in Following; `fingerprint`: of the model.
StateSize SizeOfState(const Content& content, int bits, const std::string& fingerprint, const StepDevice& device);

}  // namespace kedge

#endif  // KEDGE_EVAL_COMPUTED_PROMPT_H_
