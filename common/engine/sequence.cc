// Joins the tracker (which rows) with the row store (which pages) and speaks in plans. Tested by score_test.cc
// and state_exchange_test.cc.
#include "common/engine/sequence.h"

#include <algorithm>

#include "common/base/check.h"

namespace kedge {

uint32_t PagesFor(const Content& content, uint32_t chunk, uint32_t max_new) {
  return PagesNeeded(RowsNeeded(content.policy, content.ids, content.NoAnchorBits(), chunk, max_new));
}

Sequence::Sequence(Content content, PageLease lease)
    : content_(std::move(content)), tracker_(&content_.policy), rows_(std::move(lease)) {}

void Sequence::Plan(uint32_t rows, WantedLogits logits, StepPlan* plan) {
  KEDGE_CHECK(rows <= pending());
  for (uint32_t i = 0; i < rows; ++i) {
    const uint32_t position = tracker_.position();
    const uint32_t token = content_.ids[position];
    const RowRule rule = tracker_.Next(token, content_.NoAnchor(position));
    rows_.AddRow(rule);
    PlanRow row{.token = token,
                .position = position,
                .tables = static_cast<uint32_t>(plan->tables.size()),
                .role = position < content_.prompt_length ? Role::kPrompt : Role::kGenerated,
                .recent_begin = rule.recent_begin,
                .kept_end = rule.kept_end,
                .kept_index = rule.kept ? static_cast<int32_t>(rule.kept_index) : -1};
    row.wants_logits =
        logits == WantedLogits::kAll || (logits == WantedLogits::kLast && position + 1 == content_.ids.size());
    plan->rows.push_back(row);
  }
  plan->tables.push_back(rows_.tables());
}

std::vector<RowRef> Sequence::StateRows(const StateShape& state, uint32_t first, uint32_t count) const {
  // Kept rows before the recent span are the first rows of K, in K's own order.
  std::vector<RowRef> refs;
  refs.reserve(count);
  for (uint32_t row = first; row < first + count; ++row) {
    refs.push_back(row < state.kept.size()
                       ? rows_.KeptRow(row)
                       : rows_.RecentRow(state.recent_begin + row - static_cast<uint32_t>(state.kept.size())));
  }
  return refs;
}

StateShape Sequence::BeginState(uint32_t end) {
  KEDGE_CHECK(position() == 0 && end <= content_.ids.size());
  std::vector<RowRule> rules;
  rules.reserve(end);
  for (uint32_t i = 0; i < end; ++i) rules.push_back(tracker_.Next(content_.ids[i], content_.NoAnchor(i)));
  const StateShape state = tracker_.State();
  for (uint32_t index = 0; index < state.kept.size(); ++index) rows_.AddKeptOnly(index);
  for (uint32_t i = state.recent_begin; i < end; ++i) rows_.AddRow(rules[i]);
  return state;
}

Sequence::Places Sequence::StatePlaces(const StateShape& state, uint32_t first, uint32_t count) const {
  Places places{.rows = StateRows(state, first, count), .copies = std::vector<RowRef>(count, RowRef{.page = kNoPage})};
  const std::vector<uint32_t>& kept = tracker_.kept_positions();
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t row = first + i;
    if (row < state.kept.size()) continue;
    const uint32_t position = state.recent_begin + row - static_cast<uint32_t>(state.kept.size());
    const auto it = std::lower_bound(kept.begin(), kept.end(), position);
    if (it == kept.end() || *it != position) continue;
    places.copies[i] = rows_.KeptRow(static_cast<uint32_t>(it - kept.begin()));
    places.any_copy = true;
  }
  return places;
}

void Sequence::Reset() {
  rows_.Clear();
  tracker_ = AnchorTracker(&content_.policy);
}

}  // namespace kedge
