// Rows that differ from head to head or from layer to layer, chosen by the attention of a prompt's latest rows.
//
// SnapKV (Li et al., NeurIPS 2024), as kvpress computes it: for each KV head the positions to which the latest rows
// give the most attention, all query heads of the KV head together, averaged over five neighbours. ChunkKV (Liu et al.,
// 2025): for each layer whole runs of 20 positions, by the mean of these scores over its heads. Budgets are equal for
// all heads, so such rows can be put in the places of rows of a State: positions are part of the keys, and attention
// does not ask in which order rows stand.
#ifndef KEDGE_EVAL_HEAD_ROWS_H_
#define KEDGE_EVAL_HEAD_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"
#include "eval/computed_prompt.h"

namespace kedge {

// [layers * kv_heads][positions before the latest rows]: attention in parts of kMassOne, summed.
using HeadScores = std::vector<std::vector<uint64_t>>;

// Of the latest rows, those from `recent_begin` to n-2, which are computed once more. `num_heads`: query heads of the
// model. `prompt` was computed in full. kResourceExhausted: the pool has no room for the prompt once more.
absl::StatusOr<HeadScores> ObserveHeads(const ComputedPrompt& prompt, uint32_t recent_begin, uint32_t num_heads,
                                        PagePool* pool, StepDevice* device);

// `count` positions for each layer and KV head, ascending. REQUIRES: there are as many.
HeadRows ChooseByHead(const HeadScores& scores, uint32_t count);
HeadRows ChooseChunks(const HeadScores& scores, uint32_t kv_heads, uint32_t count);

}  // namespace kedge

#endif  // KEDGE_EVAL_HEAD_ROWS_H_
