// Byte pair encoding over token ids.
#ifndef KEDGE_COMMON_TOKENIZER_BPE_H_
#define KEDGE_COMMON_TOKENIZER_BPE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace kedge {

// A ranked list of merges (left, right) -> product.
// Thread-compatible: build it on one thread, then any number may call Apply.
class BpeMerges {
 public:
  // Appends a merge; its rank is the number of Add calls before it. Of two merges of one pair the first counts.
  void Add(uint32_t left, uint32_t right, uint32_t product);

  // Merges the ids of one word until no merge applies: always the pair of lowest rank, of equal ones the leftmost.
  // Appends the result to `out`. Takes O(n log n).
  // REQUIRES: word.size() <= kMaxWord.
  static constexpr size_t kMaxWord = (size_t{1} << 31) - 1;
  void Apply(absl::Span<const uint32_t> word, std::vector<uint32_t>* out) const;

 private:
  struct Merge {
    uint32_t rank;
    uint32_t product;
  };
  // nullptr when the pair does not merge.
  const Merge* Find(uint32_t left, uint32_t right) const;

  absl::flat_hash_map<uint64_t, Merge> merges_;  // key: left << 32 | right
  uint32_t next_rank_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_BPE_H_
