// Three scores of a sequence, of which the highest counts. All are mass summed over whole sequences and not averaged
// over their tokens: averages let sequences of one or two tokens win.
//
// 1. Asking. A prompt's very last rows belong to the chat template, and there the pointer heads look at what is asked:
//    a sequence's share of their mass is its weight, and the question itself is kept for that; a long sentence, which
//    may merely stand beside it, for less.
// 2. Answering. In the rows of what asks, the retrieval heads look at what answers: the largest mass that one of the
//    last rows gives to the sequence, times the weight of that row's own sequence; the mean over the heads.
// 3. Looking back. Where the question stands before the text, no last row looks at the answer, but rows of the answer
//    look at the question: the largest mass that a row of the sequence gives to the sequences that open the last turn;
//    the mean over the heads, and an eighth of it, because text looks at its beginning for other reasons too. What
//    opens the turn gets the most that any sequence got by it.
//
// Whole sequences with at least a quarter of the best score are taken in its order. What the budget has left goes to
// the latest sequences before the window: they do not answer, but text goes on from them.
//
// A model without known heads has no pointers: every last row asks, and the maximum over all heads is taken.
//
// The weights and row counts were found on the default model with recall prompts of several forms (docs/fidelity.md).
// Tested by salience_test.cc.
#include "common/anchor/salience.h"

#include <algorithm>
#include <numeric>

#include "common/base/check.h"

namespace kedge {
namespace {

constexpr uint32_t kLastRowsOfAllHeads = 32;  // where the heads that retrieve are not known
constexpr uint32_t kOpeningRows = 20;         // of the last turn, in which a question before the text is looked for
constexpr uint32_t kLeastOpening = 4;         // rows of a sequence that asks something
constexpr uint32_t kAskingRows = 16;          // a longer sequence is kept for so many parts of its rows of its weight
constexpr uint64_t kLookingBackShare = 8;
constexpr uint64_t kLeastShare = 4;  // of the best score

}  // namespace

Salience::Salience(const Content& content, const SalienceHeads& heads)
    : outline_(OutlinePrompt(content)),
      budget_(SalientBudget(content.policy, content.prompt_length)),
      num_pointers_(heads.pointers.size()),
      num_heads_(heads.pointers.size() + heads.retrieval.size()),
      last_may_ask_(content.turn_begin == 0) {
  const uint32_t end = content.prompt_length - 1;
  const uint32_t last_rows = num_pointers_ > 0 ? kLastRows : kLastRowsOfAllHeads;
  last_ = observed_ = {end > last_rows ? end - last_rows : 0, end};
  const size_t count = outline_.sequences.size();
  if (num_pointers_ > 0) {
    for (size_t i = 0; i + 1 < count; ++i) {  // the last one may not have ended yet
      const PositionRange& sequence = outline_.sequences[i];
      if (sequence.begin >= content.turn_begin && sequence.end <= content.turn_begin + kOpeningRows &&
          sequence.end - sequence.begin >= kLeastOpening) {
        opening_.push_back(i);
      }
    }
    if (!opening_.empty()) observed_.begin = std::min(observed_.begin, outline_.sequences[opening_.back()].end);
  }
  sums_.resize(size_t{last_.end - last_.begin} * num_heads_ * count);
  back_.resize(num_heads_ * count);
}

std::vector<uint32_t> Salience::SequenceEnds() const {
  std::vector<uint32_t> ends;
  for (const PositionRange& sequence : outline_.sequences) ends.push_back(sequence.end);
  return ends;
}

void Salience::Add(uint32_t position, size_t head, absl::Span<const uint32_t> mass) {
  const std::vector<PositionRange>& sequences = outline_.sequences;
  KEDGE_CHECK(position >= observed_.begin && position < observed_.end && head < num_heads_ && !mass.empty() &&
              mass.size() <= sequences.size());
  const size_t own = mass.size() - 1;
  KEDGE_CHECK(sequences[own].begin <= position && position < sequences[own].end);
  if (position >= last_.begin) {
    std::copy(mass.begin(), mass.end(),
              sums_.begin() + ((position - last_.begin) * num_heads_ + head) * sequences.size());
  }
  if (opening_.empty() || position < sequences[opening_.back()].end) return;
  uint32_t to_opening = 0;
  for (size_t i : opening_) to_opening += mass[i];
  uint32_t& most = back_[head * sequences.size() + own];
  most = std::max(most, to_opening);
}

std::vector<PositionRange> Salience::Opening() const {
  std::vector<PositionRange> opening;
  for (size_t i : opening_) opening.push_back(outline_.sequences[i]);
  return opening;
}

std::vector<PositionRange> Salience::SequencesBefore(uint32_t end) const {
  std::vector<PositionRange> before;
  for (const PositionRange& sequence : outline_.sequences) {
    if (sequence.begin >= end) break;
    before.push_back({sequence.begin, std::min(sequence.end, end)});
  }
  return before;
}

bool Salience::LooksBackBefore(uint32_t end) const {
  return !opening_.empty() && end > outline_.sequences[opening_.back()].end;
}

EarlierSalience Salience::Before(uint32_t end) const {
  EarlierSalience earlier{.end = end, .sequences = SequencesBefore(end), .opening = Opening()};
  const size_t count = outline_.sequences.size(), before = earlier.sequences.size();
  for (size_t head = 0; head < num_heads_; ++head) {
    const auto back = back_.begin() + head * count;
    earlier.back.insert(earlier.back.end(), back, back + before);
  }
  return earlier;
}

bool Salience::CanTake(const EarlierSalience& earlier) const {
  if (earlier.end > last_.begin) return false;
  if (!LooksBackBefore(earlier.end)) return true;
  return earlier.opening == Opening() && earlier.sequences == SequencesBefore(earlier.end);
}

void Salience::Take(const EarlierSalience& earlier) {
  KEDGE_CHECK(CanTake(earlier));
  if (!LooksBackBefore(earlier.end)) return;
  // The last sequence before `end` may go on in this prompt: its rows so far count all the same.
  const size_t count = outline_.sequences.size(), before = earlier.sequences.size();
  KEDGE_CHECK(earlier.back.size() == num_heads_ * before);
  for (size_t head = 0; head < num_heads_; ++head) {
    for (size_t i = 0; i < before; ++i) {
      uint32_t& most = back_[head * count + i];
      most = std::max(most, earlier.back[head * before + i]);
    }
  }
}

// Weights in parts of kMassOne. Neither the first sequence asks, which takes what attention has to spare, nor, in a
// chat, the open one, which is the template's.
std::vector<uint64_t> Salience::Asking() const {
  const size_t count = outline_.sequences.size();
  if (num_pointers_ == 0) return std::vector<uint64_t>(count, kMassOne);
  std::vector<uint64_t> asking(count);
  const size_t end = last_may_ask_ ? count : count - std::min<size_t>(count, 1);
  const uint32_t rows = last_.end - last_.begin;
  for (uint32_t row = std::max(rows, kPointerRows) - kPointerRows; row < rows; ++row) {
    for (size_t head = 0; head < num_pointers_; ++head) {
      const uint32_t* sums = &sums_[(row * num_heads_ + head) * count];
      for (size_t i = 1; i < end; ++i) asking[i] += sums[i];
    }
  }
  const uint64_t sum = std::accumulate(asking.begin(), asking.end(), uint64_t{0});
  for (uint64_t& weight : asking) weight = sum == 0 ? 0 : weight * kMassOne / sum;
  return asking;
}

std::vector<uint64_t> Salience::Answering(const std::vector<uint64_t>& asking) const {
  const size_t count = outline_.sequences.size();
  std::vector<uint64_t> answering(count);
  for (size_t head = num_pointers_; head < num_heads_; ++head) {
    std::vector<uint64_t> largest(count);
    size_t own = 0;  // the sequence of `row`
    for (uint32_t row = last_.begin; row < last_.end; ++row) {
      while (outline_.sequences[own].end <= row) ++own;
      if (asking[own] == 0) continue;
      const uint32_t* sums = &sums_[((row - last_.begin) * num_heads_ + head) * count];
      for (size_t i = 0; i <= own; ++i) largest[i] = std::max(largest[i], asking[own] * sums[i] / kMassOne);
    }
    for (size_t i = 0; i < count; ++i) {
      answering[i] = num_pointers_ == 0 ? std::max(answering[i], largest[i]) : answering[i] + largest[i];
    }
  }
  if (num_pointers_ > 0) {
    for (uint64_t& score : answering) score /= num_heads_ - num_pointers_;
  }
  return answering;
}

std::vector<uint64_t> Salience::LookingBack() const {
  const size_t count = outline_.sequences.size();
  std::vector<uint64_t> back(count);
  if (opening_.empty()) return back;
  uint64_t most = 0;
  for (size_t i = opening_.back() + 1; i < count; ++i) {
    if (!IsCandidate(i)) continue;
    for (size_t head = num_pointers_; head < num_heads_; ++head) back[i] += back_[head * count + i];
    back[i] /= num_heads_ - num_pointers_;
    most = std::max(most, back[i]);
  }
  for (size_t i : opening_) back[i] = most;
  return back;
}

std::vector<uint64_t> Salience::Scores() const {
  const std::vector<uint64_t> asking = Asking();
  const std::vector<uint64_t> answering = Answering(asking);
  const std::vector<uint64_t> looking_back = LookingBack();
  std::vector<uint64_t> scores(answering.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    const PositionRange& sequence = outline_.sequences[i];
    const uint64_t asks =
        num_pointers_ == 0 ? 0 : asking[i] * kAskingRows / std::max(kAskingRows, sequence.end - sequence.begin);
    scores[i] = std::max({answering[i], asks, looking_back[i] / kLookingBackShare});
  }
  return scores;
}

std::vector<PositionRange> Salience::Choose() const {
  const std::vector<uint64_t> scores = Scores();
  uint64_t best = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (IsCandidate(i)) best = std::max(best, scores[i]);
  }
  std::vector<size_t> order, rest;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!IsCandidate(i)) continue;
    (scores[i] > 0 && scores[i] * kLeastShare >= best ? order : rest).push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  order.insert(order.end(), rest.rbegin(), rest.rend());
  std::vector<bool> chosen(scores.size());
  uint32_t left = budget_;
  for (size_t i : order) {
    const uint32_t charge = outline_.Charge(outline_.sequences[i]);
    if (charge > left) continue;  // a smaller one may still fit
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
