// Two steps, because a prompt's last rows belong to the chat template, and the question may stand anywhere. The pointer
// heads, in the very last rows, show which sequences ask: a sequence's share of their mass is its weight. The retrieval
// heads, in the rows of those sequences, show what answers: a head's score of a sequence is the largest mass that any
// observed row gives to it, that row counting by its own sequence's weight, as a share of these over all sequences; and
// a sequence's score is the mean over the heads, or its weight if that is more. Mass is summed over a sequence, not
// averaged: averages let sequences of one or two tokens win. Tested by salience_test.cc.
#include "common/anchor/salience.h"

#include <algorithm>
#include <numeric>

#include "common/base/check.h"

namespace kedge {
namespace {

constexpr uint64_t kWhole = uint64_t{1} << 20;  // shares are parts of it

// Each of `values` as a share of their sum.
std::vector<uint64_t> Shares(const std::vector<uint64_t>& values) {
  const uint64_t sum = std::accumulate(values.begin(), values.end(), uint64_t{0});
  std::vector<uint64_t> shares(values.size());
  // Values are below 2^36 (mass of a few rows, or mass times a share shifted back) and so are shares times 2^20.
  for (size_t i = 0; i < values.size() && sum > 0; ++i) shares[i] = values[i] * kWhole / sum;
  return shares;
}

}  // namespace

Salience::Salience(const Content& content, const SalienceHeads& heads)
    : outline_(OutlinePrompt(content)),
      budget_(SalientBudget(content.policy, content.prompt_length)),
      num_pointers_(heads.pointers.size()),
      num_heads_(heads.pointers.size() + heads.retrieval.size()) {
  const uint32_t end = content.prompt_length - 1;
  observed_ = {end > kObservedRows ? end - kObservedRows : 0, end};
  sums_.resize((observed_.end - observed_.begin) * num_heads_ * outline_.sequences.size());
}

absl::Span<const uint32_t> Salience::Sums(uint32_t row, size_t head) const {
  const size_t count = outline_.sequences.size();
  return absl::MakeConstSpan(sums_).subspan(((row - observed_.begin) * num_heads_ + head) * count, count);
}

void Salience::Add(uint32_t position, size_t head, absl::Span<const uint32_t> mass) {
  KEDGE_CHECK(position >= observed_.begin && position < observed_.end && mass.size() == position + 1 &&
              head < num_heads_);
  uint32_t* sum = &sums_[((position - observed_.begin) * num_heads_ + head) * outline_.sequences.size()];
  for (const PositionRange& sequence : outline_.sequences) {
    if (sequence.begin > position) break;
    *sum++ = std::accumulate(mass.begin() + sequence.begin, mass.begin() + std::min(sequence.end, position + 1), 0u);
  }
}

// What asks, by the pointer heads in the last rows: neither the first sequence, which takes what attention has to
// spare, nor the open one, which is the template's. All alike if there are no such heads.
std::vector<uint64_t> Salience::PointerShares() const {
  const size_t count = outline_.sequences.size();
  std::vector<uint64_t> mass(count);
  for (size_t head = 0; head < num_pointers_; ++head) {
    for (uint32_t row = std::max(observed_.end, kPointerRows) - kPointerRows; row < observed_.end; ++row) {
      const absl::Span<const uint32_t> sums = Sums(row, head);
      for (size_t i = 1; i + 1 < count; ++i) mass[i] += sums[i];
    }
  }
  const std::vector<uint64_t> shares = Shares(mass);
  if (std::count(shares.begin(), shares.end(), uint64_t{0}) != static_cast<int64_t>(count)) return shares;
  return std::vector<uint64_t>(count, kWhole);
}

std::vector<uint64_t> Salience::Scores() const {
  const size_t count = outline_.sequences.size();
  const std::vector<uint64_t> asks = PointerShares();
  std::vector<uint64_t> retrieved(count);
  for (size_t head = num_pointers_; head < num_heads_; ++head) {
    std::vector<uint64_t> largest(count);
    size_t own = 0;  // the sequence of `row`
    for (uint32_t row = observed_.begin; row < observed_.end; ++row) {
      while (outline_.sequences[own].end <= row) ++own;
      const absl::Span<const uint32_t> sums = Sums(row, head);
      for (size_t i = 0; i < count; ++i) largest[i] = std::max(largest[i], asks[own] * sums[i] / kWhole);
    }
    const std::vector<uint64_t> shares = Shares(largest);
    for (size_t i = 0; i < count; ++i) retrieved[i] += shares[i];
  }
  const bool has_pointers = num_pointers_ > 0;
  for (size_t i = 0; i < count; ++i) {
    retrieved[i] /= num_heads_ - num_pointers_;
    if (has_pointers) retrieved[i] = std::max(retrieved[i], asks[i]);
  }
  return retrieved;
}

std::vector<PositionRange> Salience::Choose() const {
  const std::vector<uint64_t> scores = Scores();
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  std::vector<bool> chosen(scores.size());
  uint32_t left = budget_;
  for (size_t i : order) {
    const uint32_t charge = outline_.Charge(outline_.sequences[i]);
    if (charge == 0 || charge > left) continue;  // kept in any case; or passed over, and a smaller one may still fit
    chosen[i] = true;
    left -= charge;
  }
  std::vector<PositionRange> ranges;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (!chosen[i]) continue;
    const PositionRange& sequence = outline_.sequences[i];
    if (ranges.empty() || ranges.back().end != sequence.begin) ranges.push_back({sequence.begin, sequence.begin});
    ranges.back().end = sequence.end;
  }
  return ranges;
}

}  // namespace kedge
