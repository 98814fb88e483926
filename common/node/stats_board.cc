// Tested by stats_board_test.cc.
#include "common/node/stats_board.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace kedge {

void StatsBoard::Set(const NodeStats& stats) {
  absl::MutexLock lock(&mutex_);
  stats_ = stats;
}

NodeStats StatsBoard::Get() const {
  absl::MutexLock lock(&mutex_);
  NodeStats stats = stats_;
  stats.full_for = std::max(stats.full_for, full_until_ - absl::Now());
  return stats;
}

void StatsBoard::SetFullUntil(absl::Time end) {
  absl::MutexLock lock(&mutex_);
  full_until_ = end;
}

void StatsBoard::AwaitIdle(absl::Time end) const {
  absl::MutexLock lock(&mutex_);
  const absl::Condition is_idle(this, &StatsBoard::IsIdle), is_busy(this, &StatsBoard::IsBusy);
  while (mutex_.AwaitWithDeadline(is_idle, end)) {
    const absl::Time comes_back = std::min(end, absl::Now() + kComesBack);
    if (!mutex_.AwaitWithDeadline(is_busy, comes_back)) return;
  }
}

}  // namespace kedge
