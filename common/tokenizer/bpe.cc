// The word is a doubly linked list in an array; a heap holds the pairs that may merge, by (rank, position of the left
// part). A heap entry can be out of date, because one of its parts has merged with its other neighbour since: it counts
// only if the pair that stands at its position now has the entry's rank (a rank belongs to exactly one pair). Each
// merge pushes at most two entries, so a word of n symbols costs O(n log n) however long it is.
// Tested by bpe_test.cc.
#include "common/tokenizer/bpe.h"

#include <functional>
#include <queue>
#include <utility>

#include "common/base/check.h"

namespace kedge {

void BpeMerges::Add(uint32_t left, uint32_t right, uint32_t product) {
  merges_.try_emplace(uint64_t{left} << 32 | right, Merge{next_rank_++, product});
}

const BpeMerges::Merge* BpeMerges::Find(uint32_t left, uint32_t right) const {
  const auto found = merges_.find(uint64_t{left} << 32 | right);
  return found == merges_.end() ? nullptr : &found->second;
}

void BpeMerges::Apply(absl::Span<const uint32_t> word, std::vector<uint32_t>* out) const {
  KEDGE_CHECK(word.size() <= kMaxWord);
  if (word.size() < 2) {  // spare most pieces of punctuation and digits the lists below
    out->insert(out->end(), word.begin(), word.end());
    return;
  }
  constexpr int32_t kNone = -1;
  struct Symbol {
    uint32_t id;
    int32_t previous;
    int32_t next;
    bool gone;  // became part of the symbol on its left
  };
  const int32_t count = static_cast<int32_t>(word.size());
  std::vector<Symbol> symbols(word.size());
  using Candidate = std::pair<uint32_t, int32_t>;  // rank, position of the left symbol
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>> candidates;

  const auto find_at = [&](int32_t left) -> const Merge* {
    const Symbol& symbol = symbols[left];
    if (symbol.gone || symbol.next == kNone) return nullptr;
    return Find(symbol.id, symbols[symbol.next].id);
  };
  const auto push = [&](int32_t left) {
    if (const Merge* merge = find_at(left)) candidates.emplace(merge->rank, left);
  };

  for (int32_t i = 0; i < count; ++i) symbols[i] = {word[i], i - 1, i + 1 < count ? i + 1 : kNone, false};
  for (int32_t i = 0; i < count; ++i) push(i);
  while (!candidates.empty()) {
    const auto [rank, left] = candidates.top();
    candidates.pop();
    const Merge* merge = find_at(left);
    if (merge == nullptr || merge->rank != rank) continue;
    Symbol& symbol = symbols[left];
    Symbol& absorbed = symbols[symbol.next];
    symbol.id = merge->product;
    symbol.next = absorbed.next;
    absorbed.gone = true;
    if (symbol.next != kNone) symbols[symbol.next].previous = left;
    if (symbol.previous != kNone) push(symbol.previous);
    push(left);
  }
  for (int32_t i = 0; i != kNone; i = symbols[i].next) out->push_back(symbols[i].id);
}

}  // namespace kedge
