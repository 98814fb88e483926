// A prompt that will be reduced (`prefill=full`) in outline: its sequences, and what of it is kept in any case.
#ifndef KEDGE_COMMON_ANCHOR_OUTLINE_H_
#define KEDGE_COMMON_ANCHOR_OUTLINE_H_

#include <cstdint>
#include <vector>

#include "common/anchor/content.h"

namespace kedge {

struct PromptOutline {
  std::vector<PositionRange> sequences;  // of rows 0..n-2, the open one included; together they are all rows
  std::vector<bool> kept;                // [n-1]: sinks, anchors, pinned rows and the window
  uint32_t window_begin = 0;             // lo(n-1)

  // Rows of the range that nothing else keeps.
  uint32_t Charge(const PositionRange& range) const;
};

// REQUIRES: prompt_length is from 1 to ids.size() + 1. Looks at the first n-1 ids alone.
PromptOutline OutlinePrompt(const Content& content);

// How many rows beyond those the policy grants to salient sequences of a prompt of n rows: `salient` times n, and at
// least kLeastSalientRows, because a short prompt's question and answer are no shorter than a long one's. Each further
// question of the chat's last message brings kRowsOfAQuestion, for itself and its answer, up to kMostAsked: more
// marks are of a text that is quoted.
inline constexpr uint32_t kLeastSalientRows = 100;
inline constexpr uint32_t kRowsOfAQuestion = 16;
inline constexpr uint32_t kMostAsked = 8;
struct RowBudget {
  uint32_t least = 0;
  uint32_t most = 0;  // where the policy adapts it to how far attention is spread; else `least`
  friend bool operator==(const RowBudget&, const RowBudget&) = default;
};
RowBudget SalientBudget(const Content& content);

// Of the chosen rows, those beyond the least of an adaptive budget: 0 where the budget is fixed, or nothing was chosen.
uint32_t AdaptiveRows(const Content& content);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_OUTLINE_H_
