// A sequence that is too long is cut from its begin on. Each piece has half of `longest` at least, and where two pieces
// will do, the cut is near their middle: a stump of two words would stand for nothing.
// Tested by sequence_ends_test.cc.
#include "common/tokenizer/sequence_ends.h"

#include <algorithm>
#include <cstddef>

namespace kedge {
namespace {

// Which of the rows [begin, end) ends the first piece. REQUIRES: there are more than `longest`.
size_t BestCut(absl::Span<const CutStrength> strengths, size_t begin, size_t end, uint32_t longest) {
  const size_t rows = std::min<size_t>(end - begin, size_t{2} * longest);
  const size_t middle = begin + (rows + 1) / 2 - 1;  // the first half's last row
  const auto distance = [middle](size_t i) { return i > middle ? i - middle : middle - i; };
  const size_t last = begin + longest - 1;
  size_t best = last;
  for (size_t i = begin + (longest - 1) / 2; i <= last; ++i) {
    if (strengths[i] > strengths[best] || (strengths[i] == strengths[best] && distance(i) < distance(best))) best = i;
  }
  // All of it may open an answer, or be of one character: then the piece is as long as that.
  while (strengths[best] == CutStrength::kNever && best + 1 < end) ++best;
  return best;
}

}  // namespace

std::vector<uint32_t> FindSequenceEnds(absl::Span<const CutStrength> strengths, uint32_t longest) {
  std::vector<uint32_t> ends;
  for (size_t begin = 0, end = 0; begin < strengths.size(); begin = end) {
    while (end < strengths.size() && strengths[end] != CutStrength::kEnd) ++end;
    const bool closes = end < strengths.size();
    if (closes) ++end;
    while (longest > 0 && end - begin > longest) {
      const size_t cut = BestCut(strengths, begin, end, longest);
      if (cut + 1 == end) break;
      ends.push_back(static_cast<uint32_t>(cut));
      begin = cut + 1;
    }
    if (closes) ends.push_back(static_cast<uint32_t>(end - 1));
  }
  return ends;
}

}  // namespace kedge
