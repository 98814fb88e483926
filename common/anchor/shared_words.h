// What sequences of a prompt say in the words of what asks, whatever a model's heads look at.
//
// A word is a token id, and the rarer it is in the prompt's sequences, the more it tells: its inverse document frequency
// is log2 of all sequences over those that have it. That is BM25 (Robertson et al., "Okapi at TREC-3", 1994) with k1 = 0:
// how often a sequence has a word, and how long it is, brought nothing here (docs/fidelity.md). In whole numbers, and so
// the same on every node.
#ifndef KEDGE_COMMON_ANCHOR_SHARED_WORDS_H_
#define KEDGE_COMMON_ANCHOR_SHARED_WORDS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "common/anchor/ranges.h"
#include "common/kernels/head_ref.h"

namespace kedge {

// The weight of a sequence that asks, at least, in parts of kMassOne.
inline constexpr uint64_t kLeastAsking = kMassOne / 16;

// Of one prompt and what asks in it. Immutable.
class SharedWords {
 public:
  // `asking`: the weight of each sequence as one that asks, in parts of kMassOne. From kLeastAsking on it asks, and
  // from a quarter on its words have full weight.
  SharedWords(absl::Span<const uint32_t> ids, absl::Span<const PositionRange> sequences,
              absl::Span<const uint64_t> asking);

  // Of each sequence: the rare words that it shares with what asks, beside those of the one that shares most, or a
  // word that one in sixteen has where that is more; squared, in parts of kMassOne. What asks has 0.
  std::vector<uint64_t> WithWhatAsks() const;

  // What answers may name what is to be found next: scores of sequences that repeat rare words, which the question has
  // not, of one that has half of the best score at least; as parts of that one's score. `scores`: of each sequence.
  std::vector<uint64_t> WithWhatAnswers(absl::Span<const uint64_t> scores) const;

 private:
  // Inverse document frequency, in parts of 256.
  uint64_t Idf(uint32_t id) const;
  // `shared`, weights times idf, beside most_; squared.
  uint64_t PartOf(uint64_t shared) const;

  std::vector<bool> asks_;                                         // [sequences]
  std::vector<std::vector<uint32_t>> words_;                       // [sequences]: ids, each once
  absl::flat_hash_map<uint32_t, std::vector<uint32_t>> postings_;  // of each id: sequences, ascending
  absl::flat_hash_map<uint32_t, uint64_t> query_;                  // ids of what asks: weights, in parts of 256
  std::vector<uint64_t> shared_;                                   // [sequences]: with what asks
  uint64_t most_;                                                  // of these, or the least that is a measure
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_SHARED_WORDS_H_
