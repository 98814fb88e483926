// Tested by step_test.cc.
#include "common/engine/step.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace kedge {
namespace {

constexpr uint32_t kMinBudget = 16;         // rows of a step however slow the machine is
constexpr uint32_t kOldestPromptShare = 4;  // one row in so many
constexpr double kNewShare = 0.3;           // of the latest step in an average
constexpr double kFarthest = 4;             // times the rows of the steps that were full

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

StepUnderWay LaunchStep(absl::Span<const Slice> slices, absl::Time now, StepDevice* device) {
  StepUnderWay step{.launched = now};
  StepPlan plan;
  uint32_t outputs = 0, mass_rows = 0;
  for (const Slice& slice : slices) {
    StepUnderWay::Part& part = step.parts.emplace_back(
        StepUnderWay::Part{.request = slice.request, .first_row = step.rows, .first_mass = mass_rows});
    if (slice.chosen_before.has_value()) {
      slice.sequence->PlanUnknown(*slice.chosen_before, *slice.choice, &plan);
    } else {
      slice.sequence->Plan(slice.rows, slice.logits, &plan, slice.choice);
    }
    for (; step.rows < plan.rows.size(); ++step.rows, ++part.rows) {
      mass_rows += plan.rows[step.rows].wants_mass;
      if (plan.rows[step.rows].has_output()) part.output = outputs++;
    }
  }
  step.future = device->Launch(std::move(plan));
  return step;
}

absl::Status SettlePart(const StepUnderWay& step, const StepUnderWay::Part& part, Sequence* sequence,
                        StepDevice* device) {
  KEDGE_RETURN_IF_ERROR(step.future->CheckRows(part.first_row, part.rows));
  sequence->Settle(*step.future, part.first_mass, device);
  return absl::OkStatus();
}

std::unique_ptr<StepFuture> LaunchStep(absl::Span<const Slice> slices, StepDevice* device) {
  return LaunchStep(slices, absl::InfinitePast(), device).future;
}

absl::Status FinishStep(absl::Span<const Slice> slices, StepFuture* step, StepDevice* device) {
  KEDGE_RETURN_IF_ERROR(step->Wait());
  absl::Status first;
  size_t rows = 0, mass_rows = 0;
  for (const Slice& slice : slices) {
    const size_t own_mass_rows = slice.sequence->num_mass_rows();  // Settle forgets them
    const absl::Status status = step->CheckRows(rows, slice.rows);
    if (status.ok()) slice.sequence->Settle(*step, mass_rows, device);
    first.Update(status);
    rows += slice.rows;
    mass_rows += own_mass_rows;
  }
  return first;
}

void StepPacer::Average::Add(double more_rows, double more_seconds) {
  const double share = rows == 0 ? 1 : kNewShare;
  rows += share * (more_rows - rows);
  seconds += share * (more_seconds - seconds);
}

// Both averages are of points about one line, and so lie about it themselves, whatever was averaged. The line goes
// through the full one, which lies where the budget is looked for, and through the small one if that is so far away
// that noise does not turn the line; else through no time for no rows, which promises too few rows rather than too
// many. No step goes far beyond what was seen.
uint32_t StepPacer::budget() const {
  if (full_.rows == 0) return std::min(max_rows_, 4 * kMinBudget);
  const bool has_base = small_.rows > 0 && full_.rows >= 2 * small_.rows && full_.seconds > small_.seconds;
  const Average from = has_base ? small_ : Average();
  const double slope = (full_.seconds - from.seconds) / (full_.rows - from.rows);
  const double more = slope > 0 ? (absl::ToDoubleSeconds(target_) - full_.seconds) / slope : max_rows_;
  const double rows = std::min(full_.rows + more, kFarthest * full_.rows);
  return std::clamp<double>(rows, std::min(kMinBudget, max_rows_), max_rows_);
}

void StepPacer::Record(uint32_t rows, absl::Duration took) {
  if (rows == 0) return;
  (2 * rows > budget() ? full_ : small_).Add(rows, absl::ToDoubleSeconds(took));
}

}  // namespace kedge
