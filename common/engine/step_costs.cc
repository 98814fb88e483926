// Least squares of relative errors over the kinds of steps that were seen, with prices that are not negative. Where the
// kinds lie on a line through one point (an engine that takes one kind of step alone), a small pull of the two slopes
// towards zero decides. Tested by step_costs_test.cc.
#include "common/engine/step_costs.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace kedge {
namespace {

constexpr double kNewShare = 0.15;   // of the latest step in an average
constexpr double kMostSlower = 3.0;  // times its average: a step counts as no slower
constexpr double kPull = 1e-3;       // of the slopes towards zero, beside what steps say
constexpr double kForget = 200;      // steps after which a kind that was not seen counts half
constexpr int kFitEvery = 8;         // steps, once many were seen
constexpr double kUsualPosition = 512;

using Matrix = std::array<std::array<double, 3>, 3>;

// Solves a x = b for those unknowns that are `free`; the others are 0. Returns whether there is a solution.
bool Solve(Matrix a, std::array<double, 3> b, const std::array<bool, 3>& free, std::array<double, 3>* x) {
  for (int i = 0; i < 3; ++i) {
    if (free[i]) continue;
    for (int j = 0; j < 3; ++j) a[i][j] = a[j][i] = 0;
    a[i][i] = 1;
    b[i] = 0;
  }
  // Symmetric and not negative definite, so the diagonal will do as pivots.
  for (int i = 0; i < 3; ++i) {
    if (a[i][i] <= 0) return false;
    for (int r = i + 1; r < 3; ++r) {
      const double factor = a[r][i] / a[i][i];
      for (int c = i; c < 3; ++c) a[r][c] -= factor * a[i][c];
      b[r] -= factor * b[i];
    }
  }
  for (int i = 2; i >= 0; --i) {
    double sum = b[i];
    for (int c = i + 1; c < 3; ++c) sum -= a[i][c] * (*x)[c];
    (*x)[i] = sum / a[i][i];
  }
  return true;
}

}  // namespace

StepWork RowsOf(uint32_t begin, uint32_t end, uint32_t most, uint32_t rows_per_step) {
  if (begin >= end) return {};
  const double rows = end - begin;
  // The rows before `bend` see all before them.
  const double bend = std::clamp(most, begin, end);
  const double seen = (bend - begin) * (bend + begin + 1) / 2 + (end - bend) * most;
  return {.steps = std::ceil(rows / rows_per_step), .rows = rows, .seen = seen};
}

void StepCosts::Average::Add(double more_rows, double more_seen, double more_seconds) {
  if (count > 0) more_seconds = std::min(more_seconds, kMostSlower * seconds);
  count += 1;
  const double share = std::max(1 / count, kNewShare);
  rows += share * (more_rows - rows);
  seen += share * (more_seen - seen);
  seconds += share * (more_seconds - seconds);
}

void StepCosts::Record(uint32_t rows, uint64_t seen, absl::Duration took) {
  if (rows == 0 || took <= absl::ZeroDuration()) return;
  if (++steps_ <= kFirstSteps) return;
  const int size = std::min(static_cast<int>(std::bit_width(rows)) - 1, kSizes - 1);
  const int span = std::min((static_cast<int>(std::bit_width(seen / rows)) + 1) / 2, kSpans - 1);
  if (const absl::Duration expected = Of({1, static_cast<double>(rows), static_cast<double>(seen)});
      expected > absl::ZeroDuration()) {
    const double ratio = pace_ * absl::FDivDuration(took, expected);
    pace_ += kNewShare * (std::clamp(ratio, pace_ / kMostSlower, pace_ * kMostSlower) - pace_);
  }
  Average& kind = kinds_[size * kSpans + span];
  kind.Add(rows, static_cast<double>(seen), absl::ToDoubleSeconds(took));
  kind.last = steps_;
  if (steps_ < 64 || steps_ % kFitEvery == 0) Fit();
}

void StepCosts::Fit() {
  Matrix a{};
  std::array<double, 3> b{};
  for (const Average& kind : kinds_) {
    if (kind.count == 0) continue;
    const double weight = 1 / (1 + (steps_ - kind.last) / kForget);
    const std::array<double, 3> u = {1 / kind.seconds, kind.rows / kind.seconds, kind.seen / kind.seconds};
    for (int i = 0; i < 3; ++i) {
      b[i] += weight * u[i];
      for (int j = 0; j < 3; ++j) a[i][j] += weight * u[i] * u[j];
    }
  }
  a[1][1] *= 1 + kPull;
  a[2][2] *= 1 + kPull;
  // A price that comes out negative is 0: the worst one first, then what is left is fitted again.
  std::array<bool, 3> free = {true, true, a[2][2] > 0};
  std::array<double, 3> prices{};
  for (int left = 3; left > 0; --left) {
    if (!Solve(a, b, free, &prices)) return;
    int worst = -1;
    double worst_share = 0;
    for (int i = 0; i < 3; ++i) {
      const double share = prices[i] * std::sqrt(a[i][i]);
      if (share < worst_share) worst = i, worst_share = share;
    }
    if (worst < 0) break;
    free[worst] = false;
  }
  prices_ = prices;
}

absl::Duration StepCosts::Of(const StepWork& work) const {
  if (!known()) return absl::ZeroDuration();
  return pace_ * absl::Seconds(work.steps * prices_[0] + work.rows * prices_[1] + work.seen * prices_[2]);
}

absl::Duration StepCosts::OfUsualToken(uint32_t rows_per_step) const {
  const double rows = rows_per_step;
  return Of({.steps = 1, .rows = rows, .seen = rows * kUsualPosition}) / rows;
}

}  // namespace kedge
