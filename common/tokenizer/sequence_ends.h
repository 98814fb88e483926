// Where the sequences of a prompt end under `anchors=text`.
#ifndef KEDGE_COMMON_TOKENIZER_SEQUENCE_ENDS_H_
#define KEDGE_COMMON_TOKENIZER_SEQUENCE_ENDS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/tokenizer/cut_strength.h"

namespace kedge {

// Positions of the rows that close a sequence, ascending: every kEnd, and within a sequence of more than `longest` rows
// (0: any number) the best places, so that none is longer. Each decision looks ahead by less than 2 * longest rows.
std::vector<uint32_t> FindSequenceEnds(absl::Span<const CutStrength> strengths, uint32_t longest);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_SEQUENCE_ENDS_H_
