// Tested by step_test.cc.
#include "common/engine/step.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace kedge {
namespace {

constexpr uint32_t kMinBudget = 16;         // rows of a step however slow the machine is
constexpr uint32_t kOldestPromptShare = 4;  // one row in so many

}  // namespace

std::vector<uint32_t> DivideStep(absl::Span<const Claim> claims, uint32_t budget) {
  std::vector<uint32_t> rows(claims.size(), 0);
  std::vector<size_t> prompts;
  for (size_t i = 0; i < claims.size(); ++i) {
    if (claims[i].left == 1 && claims[i].ready == 1 && budget > 0) {
      rows[i] = 1;
      --budget;
    } else if (claims[i].ready > 0) {
      prompts.push_back(i);
    }
  }
  if (prompts.empty() || budget == 0) return rows;

  auto give = [&](size_t i, uint32_t most) {
    const uint32_t more = std::min({most, budget, claims[i].ready - rows[i]});
    rows[i] += more;
    budget -= more;
  };
  give(prompts.front(), std::max(1u, budget / kOldestPromptShare));
  std::stable_sort(prompts.begin(), prompts.end(), [&](size_t a, size_t b) { return claims[a].left < claims[b].left; });
  for (size_t i : prompts) give(i, budget);
  return rows;
}

std::unique_ptr<StepFuture> LaunchStep(absl::Span<const Slice> slices, StepDevice* device) {
  StepPlan plan;
  for (const Slice& slice : slices) slice.sequence->Plan(slice.rows, slice.logits, &plan);
  return device->Launch(std::move(plan));
}

std::vector<absl::Status> FinishEach(absl::Span<const Slice> slices, StepFuture* step, StepDevice* device) {
  if (const absl::Status status = step->Wait(); !status.ok()) {
    return std::vector<absl::Status>(slices.size(), status);
  }
  std::vector<absl::Status> statuses;
  size_t rows = 0, mass_rows = 0;
  for (const Slice& slice : slices) {
    const size_t own_mass_rows = slice.sequence->num_mass_rows();  // Settle forgets them
    statuses.push_back(step->CheckRows(rows, slice.rows));
    if (statuses.back().ok()) slice.sequence->Settle(*step, mass_rows, device);
    rows += slice.rows;
    mass_rows += own_mass_rows;
  }
  return statuses;
}

absl::Status FinishStep(absl::Span<const Slice> slices, StepFuture* step, StepDevice* device) {
  absl::Status first;
  for (const absl::Status& status : FinishEach(slices, step, device)) first.Update(status);
  return first;
}

uint32_t StepPacer::budget() const {
  if (seconds_per_row_ <= 0) return std::min(max_rows_, 4 * kMinBudget);
  const double rows = absl::ToDoubleSeconds(target_) / seconds_per_row_;
  return std::clamp<double>(rows, std::min(kMinBudget, max_rows_), max_rows_);
}

void StepPacer::Record(uint32_t rows, absl::Duration took) {
  if (rows < kMinBudget) return;  // a step of few rows is bound by reading the weights: it says nothing of a full one
  const double seconds = absl::ToDoubleSeconds(took) / rows;
  seconds_per_row_ = seconds_per_row_ <= 0 ? seconds : 0.7 * seconds_per_row_ + 0.3 * seconds;
}

}  // namespace kedge
