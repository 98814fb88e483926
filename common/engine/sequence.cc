// Joins the tracker (which rows) with the row store (which pages) and speaks in plans. Tested by sequence_test.cc,
// score_test.cc and state_exchange_test.cc.
#include "common/engine/sequence.h"

#include <algorithm>
#include <utility>

#include "common/anchor/choose_sequences.h"
#include "common/base/check.h"

namespace kedge {

uint32_t PagesFor(const Content& content, uint32_t first, uint32_t chunk, uint32_t max_new) {
  return PagesNeeded(RowsNeeded(content, first, chunk, max_new));
}

Sequence::Sequence(Content content, PageLease lease, const SalienceHeads* heads)
    : content_(std::move(content)), heads_(heads), tracker_(&content_), rows_(std::move(lease)) {}

uint32_t Sequence::ready() const {
  if (tracker_.reduced()) return pending();
  return std::min(pending(), content_.prompt_length - 1 - position());
}

void Sequence::Plan(uint32_t rows, WantedLogits logits, StepPlan* plan, const std::optional<TokenChoice>& choice) {
  KEDGE_CHECK(rows <= ready());
  DropBehindStep();
  if (content_.NeedsChoice()) {
    KEDGE_CHECK(heads_ != nullptr && !heads_->empty());
    if (!salience_.has_value()) salience_.emplace(content_, *heads_);
    plan->mass_heads = heads_->All();
    plan->mass_ends.resize(plan->tables.size() + 1);
    plan->mass_ends.back() = salience_->SequenceEnds();
  }
  under_way_.push_back({.rows = rows});
  for (uint32_t i = 0; i < rows; ++i) {
    const RowRule rule = tracker_.Next();
    const uint32_t position = rule.position;
    PlanRow row{.token = content_.ids[position],
                .role = position < content_.prompt_length ? Role::kPrompt : Role::kGenerated};
    const bool is_last = logits == WantedLogits::kLast && position + 1 == content_.ids.size();
    if (is_last && choice.has_value()) {
      row.choice = static_cast<int32_t>(plan->choices.size());
      plan->choices.push_back(*choice);
    }
    row.wants_logits = logits == WantedLogits::kAll || (is_last && !choice.has_value());
    row.wants_mass = salience_.has_value() && position >= salience_->observed().begin;
    if (row.wants_mass) under_way_.back().mass_rows.push_back(position);
    AddRow(rule, row, plan);
  }
  plan->tables.push_back(rows_.tables());
}

// Where the step before is still under way nobody has dropped what its rows alone see. What is written to those pages
// from here on has its turn behind that step, so the bound of one step's rows holds for two.
void Sequence::DropBehindStep() {
  if (is_under_way()) DropUnseen();
}

// Makes room for the row and says where it lies and what it sees.
void Sequence::AddRow(const RowRule& rule, PlanRow row, StepPlan* plan) {
  rows_.AddRecent(rule.position);
  if (rule.kept) rows_.AddKept(rule.kept_index);
  row.position = rule.position;
  row.tables = static_cast<uint32_t>(plan->tables.size());
  row.recent_begin = rule.recent_begin;
  row.kept_end = rule.kept_end;
  row.kept_index = rule.kept ? static_cast<int32_t>(rule.kept_index) : -1;
  plan->rows.push_back(row);
}

void Sequence::PlanUnknown(uint32_t chosen_before, const TokenChoice& choice, StepPlan* plan) {
  PlanRow row{.role = Role::kGenerated,
              .chosen_before = static_cast<int32_t>(chosen_before),
              .choice = static_cast<int32_t>(plan->choices.size())};
  plan->choices.push_back(choice);
  DropBehindStep();
  under_way_.push_back({.rows = 1});
  AddRow(tracker_.NextUnknown(), row, plan);
  plan->tables.push_back(rows_.tables());
}

void Sequence::Append(uint32_t id) {
  const bool is_planned = has_unknown();
  content_.ids.push_back(id);
  if (is_planned) tracker_.Confirm();
}

void Sequence::TakeBack() {
  tracker_.TakeBack();
  under_way_.pop_back();
}

uint32_t Sequence::computed() const {
  uint32_t computed = position();
  for (const UnderWay& plan : under_way_) computed -= plan.rows;
  return computed;
}

void Sequence::TakeSalience(const EarlierSalience& earlier) {
  KEDGE_CHECK(content_.NeedsChoice() && heads_ != nullptr);
  salience_.emplace(content_, *heads_);
  salience_->Take(earlier);
}

void Sequence::Settle(const StepFuture& step, size_t first_mass, StepDevice* device) {
  KEDGE_CHECK(is_under_way());
  const std::vector<uint32_t> mass_rows = std::move(under_way_.front().mass_rows);
  under_way_.pop_front();
  const size_t num_heads = heads_ == nullptr ? 0 : heads_->pointers.size() + heads_->retrieval.size();
  for (size_t i = 0; i < mass_rows.size(); ++i) {
    for (size_t head = 0; head < num_heads; ++head) {
      salience_->Add(mass_rows[i], head, step.Mass(first_mass + i, head));
    }
  }
  if (tracker_.reduces_next() && !is_under_way()) Reduce(device);
}

// K is filled by copies out of R: only now is it known which rows are kept.
void Sequence::Reduce(StepDevice* device) {
  if (salience_.has_value()) {
    content_.salient = ChooseSequences(content_, salience_->outline(), salience_->Scores(content_.ids));
    salience_.reset();
  }
  tracker_.Reduce();
  const std::vector<uint32_t>& kept = tracker_.kept_positions();
  std::vector<RowRef> from, to;
  for (uint32_t index = 0; index < kept.size(); ++index) {
    rows_.AddKept(index);
    from.push_back(rows_.RecentRow(kept[index]));
    to.push_back(rows_.KeptRow(index));
  }
  device->CopyRows(std::move(from), std::move(to));
}

std::optional<StoredRows> Sequence::Stored() const {
  KEDGE_CHECK(!is_under_way());
  if (!content_.policy.prefill_full) {
    return rows_.Stored(position(), tracker_.next_recent_begin(),
                        static_cast<uint32_t>(tracker_.kept_positions().size()));
  }
  if (position() >= content_.prompt_length) return std::nullopt;
  return rows_.Stored(position(), 0, 0);
}

void Sequence::Resume(const StoredRows& rows, StepDevice* device) {
  KEDGE_CHECK(position() == 0);
  if (content_.policy.prefill_full) {
    KEDGE_CHECK(rows.end + 1 < content_.prompt_length);
    while (position() < rows.end) tracker_.Next();
  } else {
    tracker_.AdvanceTo(rows.end);
    KEDGE_CHECK(tracker_.next_recent_begin() == rows.recent_begin && tracker_.kept_positions().size() == rows.kept);
  }
  // Adopt may take the very pages that are copied out of; nothing else is written to them before this copy's turn.
  std::vector<RowRef> to = rows_.Adopt(rows);
  if (!to.empty()) device->CopyRows(RowsOfOpenPages(rows), std::move(to));
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
  tracker_.AdvanceTo(end);
  const StateShape state = tracker_.State();
  for (uint32_t index = 0; index < tracker_.kept_positions().size(); ++index) rows_.AddKept(index);
  for (uint32_t i = state.recent_begin; i < end; ++i) rows_.AddRecent(i);
  return state;
}

std::vector<RowRef> Sequence::BeginComplete(uint32_t end) {
  KEDGE_CHECK(position() == 0 && content_.policy.prefill_full && end + 1 < content_.prompt_length);
  std::vector<RowRef> rows;
  rows.reserve(end);
  for (uint32_t i = 0; i < end; ++i) {
    rows_.AddRecent(tracker_.Next().position);
    rows.push_back(rows_.RecentRow(i));
  }
  return rows;
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
  salience_.reset();
  under_way_.clear();
  tracker_ = AnchorTracker(&content_);
}

}  // namespace kedge
