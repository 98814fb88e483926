// Tested by step_pacer_test.cc.
#include "common/engine/step_pacer.h"

#include <algorithm>

namespace kedge {
namespace {

constexpr uint32_t kMinBudget = 16;  // rows of a step however slow the machine is
constexpr double kNewShare = 0.3;    // of the latest step in an average
constexpr double kFarthest = 4;      // times the rows of the steps that were full

}  // namespace

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
