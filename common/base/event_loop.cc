// A mailbox and a thread. The thread sleeps on the mailbox while its turns find nothing to do, and polls it between
// turns while they do. Tested by event_loop_test.cc.
#include "common/base/event_loop.h"

#include <utility>

#include "common/base/check.h"

namespace kedge {

void EventLoop::Post(std::function<void()> closure) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  posted_.push_back(std::move(closure));
  changed_.SignalAll();
}

void EventLoop::Enter(std::function<void()> closure) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    entering_.push_back(std::move(closure));
    has_entered_ = true;
    changed_.SignalAll();
  }
  TryRunEntering();
}

void EventLoop::RunEntering() {
  std::vector<std::function<void()>> closures;
  {
    absl::MutexLock lock(&mutex_);
    closures.swap(entering_);
  }
  for (const auto& closure : closures) closure();
}

// Whoever is in the way comes here when he is no longer: what was left to him before that is not left behind.
void EventLoop::TryRunEntering() {
  const auto is_left = [this] {
    absl::MutexLock lock(&mutex_);
    return !entering_.empty();
  };
  while (is_left() && running_.TryLock()) {
    RunEntering();
    running_.Unlock();
  }
}

void EventLoop::Open(absl::FunctionRef<void()> work) {
  running_.Unlock();
  TryRunEntering();
  work();
  running_.Lock();
}

bool EventLoop::TakePosted(absl::Duration wait, std::vector<std::function<void()>>* closures) {
  absl::MutexLock lock(&mutex_);
  changed_.Await(&mutex_, wait, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasWork(); });
  *closures = std::exchange(posted_, {});
  has_entered_ = false;
  return !stopped_ || !closures->empty();
}

bool EventLoop::RunClosuresAndTurn(std::vector<std::function<void()>> closures, const Turn& turn) {
  bool is_busy;
  {
    absl::MutexLock lock(&running_);
    for (const auto& closure : closures) closure();
    closures.clear();
    RunEntering();
    turns_.fetch_add(1, std::memory_order_relaxed);
    is_busy = turn();
  }
  TryRunEntering();
  return is_busy;
}

void EventLoop::Start(Turn turn) {
  KEDGE_CHECK(!thread_.joinable());
  thread_ = std::thread([this, turn = std::move(turn)] {
    bool is_busy = true;
    std::vector<std::function<void()>> closures;
    while (TakePosted(is_busy ? absl::ZeroDuration() : idle_interval_, &closures)) {
      is_busy = RunClosuresAndTurn(std::move(closures), turn);
    }
  });
}

void EventLoop::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
  absl::MutexLock lock(&running_);
  RunEntering();
}

bool EventLoop::RunOnce(const Turn& turn) {
  std::vector<std::function<void()>> closures;
  TakePosted(absl::ZeroDuration(), &closures);
  const bool had_closures = !closures.empty();
  return RunClosuresAndTurn(std::move(closures), turn) || had_closures;
}

}  // namespace kedge
