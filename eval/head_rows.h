// Rows that differ from head to head or from layer to layer, chosen by attention to a prompt.
//
// SnapKV (Li et al., NeurIPS 2024), as kvpress computes it: for each KV head the positions to which the latest rows
// give the most attention, all query heads of the KV head together, averaged over five neighbours. ChunkKV (Liu et al.,
// 2025): for each layer whole runs of 20 positions, by the mean of these scores over its heads. KVzip (Kim et al.,
// NeurIPS 2025): for each KV head the positions to which any row of any of its query heads gives the most, while the
// model repeats the text, 2,048 tokens at a time; nothing is asked, and what is asked later is not compressed. Budgets
// are equal for all heads (KVzip's own are not), so such rows can be put in the places of rows of a State: positions
// are part of the keys, and attention does not ask in which order rows stand.
#ifndef KEDGE_EVAL_HEAD_ROWS_H_
#define KEDGE_EVAL_HEAD_ROWS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"
#include "eval/computed_prompt.h"

namespace kedge {

// [layers * kv_heads][positions before the latest rows]: attention in parts of kMassOne.
using HeadScores = std::vector<std::vector<uint64_t>>;

// Text as ids.
using IdsOf = std::function<std::vector<uint32_t>(absl::string_view)>;

// Sums over the latest rows, those from `recent_begin` to n-2, which are computed once more. `num_heads`: query heads
// of the model. `prompt` was computed in full. kResourceExhausted: the pool has no room for the prompt once more.
absl::StatusOr<HeadScores> ObserveLatest(const ComputedPrompt& prompt, uint32_t recent_begin, uint32_t num_heads,
                                         PagePool* pool, StepDevice* device);

// The most of all rows that repeat what `state` is of, and that ask for it: no row behind it is looked at, so these
// scores serve all questions about one text. `ids`: those that the state was computed with, in full.
// kResourceExhausted: the pool has no room for them twice. The rest as above.
absl::StatusOr<HeadScores> ObserveRepetition(const PrefixState& state, absl::Span<const uint32_t> ids,
                                             const IdsOf& ids_of, uint32_t num_heads, PagePool* pool,
                                             StepDevice* device);

// Scores of `positions` positions: those behind the scored ones come first.
HeadScores KeepingWhatFollows(HeadScores scores, uint32_t positions);

// Sums over each position and two neighbours on each side: beyond the ends there are zeros.
HeadScores Pooled(const HeadScores& scores);

// `count` positions for each layer and KV head, ascending. REQUIRES: there are as many.
HeadRows ChooseByHead(const HeadScores& scores, uint32_t count);
HeadRows ChooseChunks(const HeadScores& scores, uint32_t kv_heads, uint32_t count);

}  // namespace kedge

#endif  // KEDGE_EVAL_HEAD_ROWS_H_
