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
  return stats_;
}

void StatsBoard::AwaitIdle(absl::Time end) const {
  absl::MutexLock lock(&mutex_);
  const absl::Condition is_idle(this, &StatsBoard::IsIdle), is_busy(this, &StatsBoard::IsBusy);
  while (mutex_.AwaitWithDeadline(is_idle, end)) {
    if (!mutex_.AwaitWithDeadline(is_busy, std::min(end, absl::Now() + comes_back_))) return;
  }
}

}  // namespace kedge
