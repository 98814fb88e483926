// Tested by step_test.cc.
#include "common/engine/step.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace kedge {
namespace {

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

StepUnderWay PlanStep(absl::Span<const Slice> slices, absl::Time now, StepPlan* plan) {
  StepUnderWay step{.launched = now};
  uint32_t outputs = 0, mass_rows = 0;
  for (const Slice& slice : slices) {
    StepUnderWay::Part& part = step.parts.emplace_back(
        StepUnderWay::Part{.request = slice.request, .first_row = step.rows, .first_mass = mass_rows});
    if (slice.chosen_before.has_value()) {
      slice.sequence->PlanUnknown(*slice.chosen_before, *slice.choice, plan);
    } else {
      slice.sequence->Plan(slice.rows, slice.logits, plan, slice.choice);
    }
    for (; step.rows < plan->rows.size(); ++step.rows, ++part.rows) {
      const PlanRow& row = plan->rows[step.rows];
      mass_rows += row.wants_mass;
      step.seen += row.position + 1 - row.recent_begin + row.kept_end;
      if (row.has_output()) part.output = outputs++;
    }
  }
  return step;
}

StepUnderWay LaunchStep(absl::Span<const Slice> slices, absl::Time now, StepDevice* device) {
  StepPlan plan;
  StepUnderWay step = PlanStep(slices, now, &plan);
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

}  // namespace kedge
