// Tested by stats_board_test.cc.
#include "common/node/stats_board.h"

#include <algorithm>

namespace kedge {

void StatsBoard::Set(const NodeStats& stats) {
  absl::MutexLock lock(&mutex_);
  stats_ = stats;
  changed_.SignalAll();
}

NodeStats StatsBoard::Get() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

void StatsBoard::AwaitIdle(absl::Duration limit) const {
  const absl::Time end = SteadyNow() + limit;
  absl::MutexLock lock(&mutex_);
  const auto is_idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return IsIdle(); };
  const auto is_busy = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !IsIdle(); };
  while (changed_.Await(&mutex_, end - SteadyNow(), is_idle)) {
    if (!changed_.Await(&mutex_, std::min(end - SteadyNow(), comes_back_), is_busy)) return;
  }
}

}  // namespace kedge
