// Tested by shared_words_test.cc.
#include "common/anchor/shared_words.h"

#include <algorithm>
#include <bit>

namespace kedge {
namespace {

constexpr uint64_t kOne = 256;                       // of weights and logarithms
constexpr uint64_t kFullAsking = kMassOne / 4;       // whose words have full weight
constexpr uint64_t kLeastMeasure = 4 * kOne * kOne;  // a word that one in sixteen has: less tells hardly anything
constexpr size_t kRareWord = 3;                      // sequences at most that have it
constexpr uint64_t kLeastOfBest = 2;                 // one part in so many of the best score: it answers

// In parts of kOne; straight between powers of two. REQUIRES: value > 0.
uint64_t Log2(uint64_t value) {
  const int whole = std::bit_width(value) - 1;
  return kOne * static_cast<uint64_t>(whole) + ((value * kOne) >> whole) - kOne;
}

}  // namespace

SharedWords::SharedWords(absl::Span<const uint32_t> ids, absl::Span<const PositionRange> sequences,
                         absl::Span<const uint64_t> asking)
    : words_(sequences.size()), shared_(sequences.size()), most_(kLeastMeasure) {
  for (uint32_t i = 0; i < sequences.size(); ++i) {
    asks_.push_back(asking[i] >= kLeastAsking);
    for (uint32_t id : ids.subspan(sequences[i].begin, sequences[i].end - sequences[i].begin)) {
      std::vector<uint32_t>& having = postings_[id];
      if (!having.empty() && having.back() == i) continue;
      having.push_back(i);
      words_[i].push_back(id);
    }
  }
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (!asks_[i]) continue;
    const uint64_t weight = std::min(kOne, asking[i] * kOne / kFullAsking);
    for (uint32_t id : words_[i]) query_[id] = std::max(query_[id], weight);
  }
  for (const auto& [id, weight] : query_) {
    for (uint32_t i : postings_[id]) shared_[i] += asks_[i] ? 0 : weight * Idf(id);
  }
  for (uint64_t shared : shared_) most_ = std::max(most_, shared);
}

uint64_t SharedWords::Idf(uint32_t id) const { return Log2(words_.size()) - Log2(postings_.at(id).size()); }

uint64_t SharedWords::PartOf(uint64_t shared) const {
  const uint64_t part = std::min<uint64_t>(shared, most_) * kMassOne / most_;
  return part * part / kMassOne;
}

std::vector<uint64_t> SharedWords::WithWhatAsks() const {
  std::vector<uint64_t> parts(shared_.size());
  for (size_t i = 0; i < parts.size(); ++i) parts[i] = PartOf(shared_[i]);
  return parts;
}

std::vector<uint64_t> SharedWords::WithWhatAnswers(absl::Span<const uint64_t> scores) const {
  std::vector<uint64_t> found(scores.size());
  uint64_t best = 0;
  for (size_t i = 0; i < scores.size(); ++i) best = asks_[i] ? best : std::max(best, scores[i]);
  for (uint32_t i = 0; i < scores.size(); ++i) {
    if (asks_[i] || scores[i] == 0 || scores[i] * kLeastOfBest < best) continue;
    absl::flat_hash_map<uint32_t, uint64_t> shared;  // by sequence
    for (uint32_t id : words_[i]) {
      const std::vector<uint32_t>& having = postings_.at(id);
      if (having.size() > kRareWord || query_.contains(id)) continue;
      for (uint32_t other : having) shared[other] += kOne * Idf(id);
    }
    for (const auto& [other, amount] : shared) {
      if (other == i || asks_[other]) continue;
      found[other] = std::max(found[other], scores[i] * PartOf(amount) / kMassOne);
    }
  }
  return found;
}

}  // namespace kedge
