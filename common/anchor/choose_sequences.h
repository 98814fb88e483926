// From scores to a choice: which whole sequences of a prompt are kept beside what the policy keeps anyway.
#ifndef KEDGE_COMMON_ANCHOR_CHOOSE_SEQUENCES_H_
#define KEDGE_COMMON_ANCHOR_CHOOSE_SEQUENCES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/anchor/outline.h"

namespace kedge {

// Pure. `scores`: of each sequence of the outline. Within the policy's budget (outline.h), which goes
// 1. to the beginning of what the system message says, up to a third of it: instructions get no attention from a
//    question, and count for every answer;
// 2. by score, to whatever has a 32nd of the best one at least; not to a sequence whose very tokens were chosen before:
//    a fact said twice must not crowd out another one, and of two that contradict each other both are kept;
// 3. to the latest sequences before the window: they do not answer, but text goes on from them.
// Where the budget is adaptive, 2. ends, once the least of it is used, as soon as nine tenths of all scores are held.
// Ties go to the earlier sequence. Returns whole sequences, ascending; neighbours are joined.
std::vector<PositionRange> ChooseSequences(const Content& content, const PromptOutline& outline,
                                           absl::Span<const uint64_t> scores);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_CHOOSE_SEQUENCES_H_
