// Two spans instead of a mask. Row i's recent span begins at lo(i), the smaller of its sequence's first row and
// i - recent + 1; what it sees before lo(i) are kept rows, and those are a prefix of K. Both ends only ever move
// forward, so each row costs a constant amount of work (and a search among the anchor ids).
// Tested by tracker_test.cc against a mask matrix made from the words of the rule.
#include "common/anchor/tracker.h"

#include <algorithm>

#include "common/base/check.h"

namespace kedge {

AnchorTracker::AnchorTracker(const Policy* policy) : policy_(policy) {}

uint32_t AnchorTracker::next_recent_begin() const {
  if (policy_->recent == Policy::kAll) return 0;
  // Without sequences a row is alone in its own.
  const uint32_t sequence_begin = policy_->has_sequences() ? sequence_begin_ : position_;
  const uint64_t rows = uint64_t{position_} + 1;  // 64 bits: `recent` may be any 32-bit number
  const uint64_t window_begin = rows > policy_->recent ? rows - policy_->recent : 0;
  return static_cast<uint32_t>(std::min<uint64_t>(sequence_begin, window_begin));
}

uint32_t AnchorTracker::open_rows() const { return policy_->has_sequences() ? position_ - sequence_begin_ : 0; }

RowRule AnchorTracker::Next(uint32_t token, bool no_anchor) {
  KEDGE_CHECK(position_ < UINT32_MAX);
  RowRule rule;
  rule.position = position_;
  rule.recent_begin = next_recent_begin();
  if (policy_->has_sequences() && !no_anchor) {
    const bool long_enough = policy_->longest > 0 && open_rows() >= policy_->longest - 1;  // with this row: longest
    rule.closes = long_enough || policy_->IsAnchorId(token);
  }
  while (kept_before_lo_ < kept_positions_.size() && kept_positions_[kept_before_lo_] < rule.recent_begin) {
    ++kept_before_lo_;
  }
  // The first `sinks` rows are the first of K.
  const bool sinks_only = rule.closes && policy_->view == Policy::View::kOwn;
  rule.kept_end = sinks_only ? std::min(policy_->sinks, rule.recent_begin) : kept_before_lo_;
  rule.kept = position_ < policy_->sinks || (rule.closes && policy_->keep_anchors);
  if (rule.kept) {
    rule.kept_index = static_cast<uint32_t>(kept_positions_.size());
    kept_positions_.push_back(position_);
  }
  ++position_;
  if (rule.closes) sequence_begin_ = position_;
  return rule;
}

StateShape AnchorTracker::State() const {
  StateShape state;
  state.recent_begin = next_recent_begin();
  state.end = position_;
  const auto kept_end = std::lower_bound(kept_positions_.begin(), kept_positions_.end(), state.recent_begin);
  state.kept.assign(kept_positions_.begin(), kept_end);
  return state;
}

RowNeeds RowsNeeded(const Policy& policy, absl::Span<const uint32_t> tokens, const std::vector<bool>& no_anchor,
                    uint32_t chunk, uint32_t max_new) {
  KEDGE_CHECK(no_anchor.empty() || no_anchor.size() == tokens.size());
  const uint64_t prompt = tokens.size();
  const uint64_t piece = std::max<uint64_t>(chunk, 1);
  RowNeeds needs;

  // A piece may begin at any row a, whatever a cache already had: it needs [lo(a), end of the piece). Pieces of one
  // row, as they follow a received state, are among these.
  AnchorTracker tracker(&policy);
  for (uint64_t a = 0; a < prompt; ++a) {
    needs.recent = std::max(needs.recent, std::min(a + piece, prompt) - tracker.next_recent_begin());
    tracker.Next(tokens[a], !no_anchor.empty() && no_anchor[a]);
  }
  needs.kept = tracker.kept_positions().size();
  if (max_new == 0) return needs;

  // New rows come one at a time, so R holds at most one row's span.
  const uint64_t total = prompt + max_new;
  const uint64_t window = policy.recent == Policy::kAll ? total : std::min<uint64_t>(policy.recent, total);
  needs.recent = std::max({needs.recent, window, uint64_t{1}});
  if (policy.has_sequences()) {
    // The open sequence grows until `longest` closes it. Bits at the prompt's end may have let it grow past that; then
    // the first new row closes it.
    const uint64_t open = tracker.open_rows();
    uint64_t sequence = open + max_new;
    if (policy.longest > 0) sequence = std::min(sequence, std::max<uint64_t>(policy.longest, open + 1));
    needs.recent = std::max(needs.recent, sequence);
  }
  const uint64_t new_sinks = std::min<uint64_t>(policy.sinks, total) - std::min<uint64_t>(policy.sinks, prompt);
  needs.kept += policy.has_sequences() && policy.keep_anchors ? max_new : new_sinks;
  return needs;
}

}  // namespace kedge
