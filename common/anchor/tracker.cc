// Two spans instead of a mask. Row i's recent span begins at lo(i), the smaller of its sequence's first row and
// i - recent + 1; what it sees before lo(i) are kept rows, and those are a prefix of K. Both ends only ever move
// forward, so each row costs a constant amount of work (and a search among the anchor ids).
// Tested by tracker_test.cc against a mask matrix made from the words of the rule.
#include "common/anchor/tracker.h"

#include <algorithm>

#include "common/anchor/outline.h"
#include "common/base/check.h"

namespace kedge {

AnchorTracker::AnchorTracker(const Content* content)
    : content_(content), reduced_(!content->policy.prefill_full || content->prompt_length <= 1) {
  if (content->policy.write_full && content->prompt_length == 0) written_begin_ = 0;
}

uint32_t AnchorTracker::next_recent_begin() const {
  const Policy& policy = content_->policy;
  if (written_begin_.has_value()) return *written_begin_;
  if (policy.recent == Policy::kAll || !reduced_) return 0;
  // Without sequences a row is alone in its own.
  const uint32_t sequence_begin = policy.has_sequences() ? sequence_begin_ : position_;
  const uint64_t rows = uint64_t{position_} + 1;  // 64 bits: `recent` may be any 32-bit number
  const uint64_t window_begin = rows > policy.recent ? rows - policy.recent : 0;
  return static_cast<uint32_t>(std::min<uint64_t>(sequence_begin, window_begin));
}

uint32_t AnchorTracker::open_rows() const { return content_->policy.has_sequences() ? position_ - sequence_begin_ : 0; }

bool AnchorTracker::Keeps(uint32_t position, bool closes) const {
  return position < content_->policy.sinks || (closes && content_->policy.keep_anchors) ||
         Contains(content_->pinned, position);
}

bool AnchorTracker::MayCloseById() const {
  const Policy& policy = content_->policy;
  return policy.has_sequences() && !policy.text_anchors && !content_->NoAnchor(position_);
}

bool AnchorTracker::ClosesByLength() const {
  const Policy& policy = content_->policy;
  if (policy.text_anchors) return content_->EndsSequence(position_);
  return MayCloseById() && policy.longest > 0 && open_rows() >= policy.longest - 1;  // with this row: longest
}

RowRule AnchorTracker::Next() {
  KEDGE_CHECK(position_ < content_->ids.size() && !reduces_next() && !unknown_.has_value());
  return Take(ClosesByLength() || (MayCloseById() && content_->policy.IsAnchorId(content_->ids[position_])));
}

bool AnchorTracker::KnowsNext() const {
  return !unknown_.has_value() && reduced_ && position_ >= content_->prompt_length &&
         (!MayCloseById() || content_->policy.view == Policy::View::kAll);
}

RowRule AnchorTracker::NextUnknown() {
  KEDGE_CHECK(KnowsNext() && position_ == content_->ids.size());
  Unknown unknown{.sequence_begin = sequence_begin_, .kept_before_lo = kept_before_lo_, .kept = kept_positions_.size()};
  const bool closes = ClosesByLength();
  unknown.may_close = MayCloseById() && !closes;
  RowRule rule = Take(closes);
  unknown.may_keep =
      unknown.may_close && !rule.kept && !written_begin_.has_value() && Keeps(rule.position, /*closes=*/true);
  if (unknown.may_keep) {
    rule.kept = true;
    rule.kept_index = static_cast<uint32_t>(kept_positions_.size());
  }
  unknown_ = unknown;
  return rule;
}

void AnchorTracker::Confirm() {
  KEDGE_CHECK(unknown_.has_value() && position_ <= content_->ids.size());
  if (unknown_->may_close && content_->policy.IsAnchorId(content_->ids[position_ - 1])) {
    if (unknown_->may_keep) kept_positions_.push_back(position_ - 1);
    sequence_begin_ = position_;
  }
  unknown_.reset();
}

void AnchorTracker::TakeBack() {
  KEDGE_CHECK(unknown_.has_value());
  --position_;
  sequence_begin_ = unknown_->sequence_begin;
  kept_before_lo_ = unknown_->kept_before_lo;
  kept_positions_.resize(unknown_->kept);
  unknown_.reset();
}

RowRule AnchorTracker::Take(bool closes) {
  const Policy& policy = content_->policy;
  RowRule rule;
  rule.position = position_;
  rule.closes = closes;
  rule.recent_begin = next_recent_begin();
  while (kept_before_lo_ < kept_positions_.size() && kept_positions_[kept_before_lo_] < rule.recent_begin) {
    ++kept_before_lo_;
  }
  // The first `sinks` rows are the first of K.
  const bool sinks_only = rule.closes && policy.view == Policy::View::kOwn;
  rule.kept_end = sinks_only ? std::min(policy.sinks, rule.recent_begin) : kept_before_lo_;
  if (!reduced_) {
    if (rule.closes) closing_positions_.push_back(position_);
  } else if (!written_begin_.has_value()) {  // else all that is written stays in R
    rule.kept = Keeps(position_, rule.closes);
  }
  if (rule.kept) {
    rule.kept_index = static_cast<uint32_t>(kept_positions_.size());
    kept_positions_.push_back(position_);
  }
  ++position_;
  if (policy.write_full && position_ == content_->prompt_length) written_begin_ = rule.recent_begin;
  if (rule.closes) sequence_begin_ = position_;
  return rule;
}

void AnchorTracker::Reduce() {
  KEDGE_CHECK(reduces_next());
  reduced_ = true;
  auto closing = closing_positions_.begin();
  for (uint32_t position = 0; position < position_; ++position) {
    const bool closes = closing != closing_positions_.end() && *closing == position;
    if (closes) ++closing;
    const bool salient = content_->salient.has_value() && Contains(*content_->salient, position);
    if (salient || Keeps(position, closes)) kept_positions_.push_back(position);
  }
  closing_positions_.clear();
}

void AnchorTracker::AdvanceTo(uint32_t end) {
  KEDGE_CHECK(position_ <= end);
  while (true) {
    if (reduces_next()) Reduce();
    if (position_ == end) return;
    Next();
  }
}

StateShape AnchorTracker::State() const {
  KEDGE_CHECK(reduced_);
  StateShape state;
  state.recent_begin = next_recent_begin();
  state.end = position_;
  const auto kept_end = std::lower_bound(kept_positions_.begin(), kept_positions_.end(), state.recent_begin);
  state.kept.assign(kept_positions_.begin(), kept_end);
  return state;
}

RowNeeds RowsNeeded(const Content& content, uint32_t first, uint32_t chunk, uint32_t max_new) {
  const Policy& policy = content.policy;
  const uint64_t size = content.ids.size();
  const uint64_t piece = std::max<uint64_t>(chunk, 1);
  KEDGE_CHECK(first <= size);
  RowNeeds needs;

  // A piece may begin at any row a, whatever a cache already had: it needs [lo(a), end of the piece). Pieces of one
  // row, as they follow a received state, are among these. No piece goes beyond a reduction.
  AnchorTracker tracker(&content);
  for (uint64_t a = 0; a <= size; ++a) {
    if (tracker.reduces_next()) tracker.Reduce();
    if (a >= first) {
      const uint64_t last = policy.prefill_full && a + 1 < content.prompt_length ? content.prompt_length - 1 : size;
      needs.recent = std::max(needs.recent, std::min({a + piece, last, size}) - tracker.next_recent_begin());
    }
    if (a < size) tracker.Next();
  }
  needs.kept = tracker.kept_positions().size();
  if (content.NeedsChoice()) {
    // A chosen sequence is charged for the rows that nothing else keeps; its rows in the window stand in K as well.
    const uint32_t reduced = content.prompt_length - 1;
    needs.kept += SalientBudget(content).most + (reduced - OutlinePrompt(content).window_begin);
    needs.kept = std::min<uint64_t>(needs.kept, size);
  }
  if (max_new == 0) return needs;

  const uint64_t total = size + max_new;
  if (policy.write_full) {
    needs.recent = std::max(needs.recent, total - tracker.next_recent_begin());
    if (size < content.prompt_length) ++needs.kept;  // the prompt's last row
    return needs;
  }
  if (Contains(content.pinned, static_cast<uint32_t>(size))) {
    ++needs.kept;
  }
  // New rows come one at a time, so R holds at most one row's span.
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
  const uint64_t new_sinks = std::min<uint64_t>(policy.sinks, total) - std::min<uint64_t>(policy.sinks, size);
  needs.kept += policy.has_sequences() && policy.keep_anchors ? max_new : new_sinks;
  return needs;
}

std::vector<PositionRange> VisiblePrompt(const Content& content) {
  const uint32_t last = content.prompt_length - 1;
  KEDGE_CHECK(last <= content.ids.size());
  AnchorTracker tracker(&content);
  tracker.AdvanceTo(last);
  const StateShape state = tracker.State();
  std::vector<uint32_t> positions = state.kept;
  if (last < content.ids.size()) positions.resize(tracker.Next().kept_end);  // an anchor may see less
  for (uint32_t position = state.recent_begin; position <= last; ++position) positions.push_back(position);
  return RangesOf(positions);
}

}  // namespace kedge
