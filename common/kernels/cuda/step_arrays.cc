// Tested by step_arrays_test.cc.
#include "common/kernels/cuda/step_arrays.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/kernels/cuda/output_wish.h"

namespace kedge::cuda {
namespace {

// Rows are rounded up by steps that waste at most kMostPaddingRows and little of a large step.
int RoundUp(int rows) {
  if (rows <= 8) return static_cast<int>(std::bit_ceil(static_cast<unsigned>(rows)));
  const int step = rows <= 32 ? 8 : 16;
  return (rows + step - 1) / step * step;
}

int PagesSeen(const PlanRow& row) {
  return static_cast<int>((row.kept_end + kPageRows - 1) / kPageRows + row.position / kPageRows -
                          row.recent_begin / kPageRows + 1);
}

template <typename T>
void Put(const std::vector<T>& values, size_t at, uint8_t* block) {
  if (!values.empty()) std::memcpy(block + at, values.data(), values.size() * sizeof(T));
}

}  // namespace

std::optional<GraphShape> ShapeOf(const StepPlan& plan, uint32_t max_rows) {
  constexpr size_t kMostRows = 256;
  if (plan.rows.empty() || plan.rows.size() > kMostRows) return std::nullopt;
  int most_pages = 1;
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    const PlanRow& row = plan.rows[r];
    if (row.choice < 0 || row.wants_mass || (r > 0 && row.tables == plan.rows[r - 1].tables)) return std::nullopt;
    most_pages = std::max(most_pages, PagesSeen(row));
  }
  const int rows = RoundUp(static_cast<int>(plan.rows.size()));
  if (static_cast<uint32_t>(rows) > max_rows) return std::nullopt;
  return GraphShape{rows, static_cast<int>(std::bit_ceil(static_cast<unsigned>(most_pages)))};
}

StepArrays::StepArrays(const StepPlan& plan, std::optional<GraphShape> shape, PageId spare) {
  AddRows(plan);
  AddMass(plan);
  plan_rows_ = num_rows();
  plan_outputs_ = num_outputs();
  if (shape.has_value()) AddPadding(*shape, spare);
  Place();
}

void StepArrays::AddRows(const StepPlan& plan) {
  std::vector<StepRow> tables;  // where the pages of each are
  for (const PageTables& table : plan.tables) {
    const uint32_t recent = static_cast<uint32_t>(pages_.size());
    pages_.insert(pages_.end(), table.recent.begin(), table.recent.end());
    const uint32_t kept = static_cast<uint32_t>(pages_.size());
    pages_.insert(pages_.end(), table.kept.begin(), table.kept.end());
    tables.push_back({.recent_pages = recent - table.first_recent_page, .kept_pages = kept});
  }
  for (uint32_t r = 0; r < plan.rows.size(); ++r) {
    const PlanRow& row = plan.rows[r];
    rows_.push_back({.token = row.token,
                     .chosen_before = row.chosen_before,
                     .position = row.position,
                     .recent_begin = row.recent_begin,
                     .kept_end = row.kept_end,
                     .kept_index = row.kept_index,
                     .recent_pages = tables[row.tables].recent_pages,
                     .kept_pages = tables[row.tables].kept_pages,
                     .pages_before = static_cast<uint32_t>(seen_pages_)});
    most_pages_ = std::max(most_pages_, PagesSeen(row));
    seen_pages_ += PagesSeen(row);
    if (r == 0 || row.tables != plan.rows[r - 1].tables || row_tiles_.back().count == kTileRows) {
      row_tiles_.push_back({r, 0});
    }
    ++row_tiles_.back().count;
    if (!row.has_output()) continue;
    wanting_.push_back(r);
    wishes_.push_back(row.choice >= 0 ? MakeWish(plan.choices[row.choice]) : WishForLogits());
    const bool may_come = row.choice < 0 || wishes_.back().temperature > 0;
    host_logits_of_.push_back(may_come ? num_host_logits_++ : -1);
  }
}

// They choose the likeliest token of what they see, which is themselves.
void StepArrays::AddPadding(const GraphShape& shape, PageId spare) {
  const uint32_t page = static_cast<uint32_t>(pages_.size());
  pages_.push_back(spare);
  for (uint32_t i = 0; num_rows() < shape.rows; ++i) {
    wanting_.push_back(static_cast<uint32_t>(rows_.size()));
    row_tiles_.push_back({static_cast<uint32_t>(rows_.size()), 1});
    rows_.push_back({.position = i,
                     .recent_begin = i,
                     .recent_pages = page,
                     .pages_before = static_cast<uint32_t>(seen_pages_++)});
    wishes_.emplace_back();
    host_logits_of_.push_back(-1);
  }
  most_pages_ = shape.most_pages;
}

void StepArrays::AddMass(const StepPlan& plan) {
  if (plan.mass_heads.empty()) return;
  std::vector<uint32_t> first_end;
  for (const std::vector<uint32_t>& ends : plan.mass_ends) {
    first_end.push_back(static_cast<uint32_t>(ends_.size()));
    ends_.insert(ends_.end(), ends.begin(), ends.end());
  }
  uint32_t sums = 0;
  std::vector<std::vector<MassQuery>> by_layer;
  for (uint32_t r = 0; r < plan.rows.size(); ++r) {
    const PlanRow& row = plan.rows[r];
    if (!row.wants_mass) continue;
    const uint32_t count = static_cast<uint32_t>(MassEnds(plan, row).size());
    for (const HeadRef& head : plan.mass_heads) {
      if (by_layer.size() <= head.layer) by_layer.resize(head.layer + 1);
      mass_places_.push_back({sums, count});
      if (count > 0) by_layer[head.layer].push_back({r, head.head, first_end[row.tables], count, sums});
      sums += count;
    }
  }
  first_query_.push_back(0);
  for (const std::vector<MassQuery>& queries : by_layer) {
    queries_.insert(queries_.end(), queries.begin(), queries.end());
    first_query_.push_back(static_cast<int>(queries_.size()));
  }
  num_sums_ = sums;
}

void StepArrays::Place() {
  upload_.Add(rows_.size() * sizeof(StepRow));
  tiles_at_ = upload_.Add(row_tiles_.size() * sizeof(RowTile));
  wishes_at_ = upload_.Add(wishes_.size() * sizeof(OutputWish));
  wanting_at_ = upload_.Add(wanting_.size() * sizeof(uint32_t));
  queries_at_ = upload_.Add(queries_.size() * sizeof(MassQuery));
  ends_at_ = upload_.Add(ends_.size() * sizeof(uint32_t));
  pages_at_ = upload_.Add(pages_.size() * sizeof(PageId));
  results_.Add(rows_.size() * sizeof(uint32_t));
  mass_at_ = results_.Add(num_sums_ * sizeof(uint32_t));
}

void StepArrays::Write(float* host_logits, int columns, uint8_t* block) const {
  std::vector<OutputWish> wishes = wishes_;
  for (size_t i = 0; i < wishes.size(); ++i) {
    if (host_logits_of_[i] >= 0) wishes[i].host_logits = host_logits + size_t(host_logits_of_[i]) * columns;
  }
  Put(rows_, 0, block);
  Put(row_tiles_, tiles_at_, block);
  Put(wishes, wishes_at_, block);
  Put(wanting_, wanting_at_, block);
  Put(queries_, queries_at_, block);
  Put(ends_, ends_at_, block);
  Put(pages_, pages_at_, block);
}

Step StepArrays::StepAt(uint8_t* upload, const ChosenToken* chosen, uint8_t* results, float* turns) const {
  return {.num_rows = num_rows(),
          .rows = reinterpret_cast<StepRow*>(upload),
          .pages = reinterpret_cast<PageId*>(upload + pages_at_),
          .chosen = chosen,
          .faults = reinterpret_cast<uint32_t*>(results),
          .turns = turns};
}

}  // namespace kedge::cuda
