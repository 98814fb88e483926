// Tested by choose_sequences_test.cc.
#include "common/anchor/choose_sequences.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/base/check.h"

namespace kedge {
namespace {

constexpr uint32_t kSystemShare = 3;  // one part in so many of the least budget
constexpr uint64_t kLeastShare = 32;  // of the best score
constexpr uint64_t kHeldTenths = 9;   // of all scores, where the budget is adaptive

class Chooser {
 public:
  Chooser(const Content& content, const PromptOutline& outline, absl::Span<const uint64_t> scores)
      : content_(content),
        outline_(outline),
        scores_(scores),
        budget_(SalientBudget(content)),
        chosen_(scores.size()) {
    KEDGE_CHECK(scores.size() == outline.sequences.size());
    for (size_t i = 0; i < scores.size(); ++i) {
      charges_.push_back(outline.Charge(outline.sequences[i]));
      if (charges_[i] == 0) continue;  // kept in any case
      candidates_.push_back(i);
      all_ += scores[i];
    }
  }

  std::vector<PositionRange> Choose() {
    TakeSystem();
    TakeByScore();
    for (auto i = candidates_.rbegin(); i != candidates_.rend(); ++i) TryToTake(*i, budget_.least);
    return UnionOf(std::move(ranges_));
  }

 private:
  // A smaller sequence may still fit where this one does not.
  bool TryToTake(size_t i, uint32_t most) {
    if (chosen_[i] || used_ + charges_[i] > most) return false;
    chosen_[i] = true;
    ranges_.push_back(outline_.sequences[i]);
    used_ += charges_[i];
    held_ += scores_[i];
    return true;
  }

  void TakeSystem() {
    for (const size_t i : candidates_) {
      if (Overlaps(outline_.sequences[i], content_.system)) TryToTake(i, budget_.least / kSystemShare);
    }
  }

  void TakeByScore() {
    std::vector<size_t> order = candidates_;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores_[a] > scores_[b]; });
    std::set<std::vector<uint32_t>> said;
    for (const size_t i : order) {
      if (scores_[i] == 0 || scores_[i] * kLeastShare < scores_[order.front()]) break;
      const PositionRange& sequence = outline_.sequences[i];
      const auto ids = content_.ids.begin();
      if (said.count({ids + sequence.begin, ids + sequence.end}) > 0) continue;
      const bool is_enough = held_ * 10 >= all_ * kHeldTenths;
      if (TryToTake(i, is_enough ? budget_.least : budget_.most)) {
        said.insert({ids + sequence.begin, ids + sequence.end});
      }
    }
  }

  const Content& content_;
  const PromptOutline& outline_;
  const absl::Span<const uint64_t> scores_;
  const RowBudget budget_;
  std::vector<uint32_t> charges_;   // [sequences]
  std::vector<size_t> candidates_;  // ascending
  std::vector<bool> chosen_;        // [sequences]
  std::vector<PositionRange> ranges_;  // of the chosen
  uint32_t used_ = 0;
  uint64_t held_ = 0, all_ = 0;  // scores
};

}  // namespace

std::vector<PositionRange> ChooseSequences(const Content& content, const PromptOutline& outline,
                                           absl::Span<const uint64_t> scores) {
  return Chooser(content, outline, scores).Choose();
}

}  // namespace kedge
