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

bool EventLoop::TakePosted(absl::Duration wait, std::vector<std::function<void()>>* closures) {
  absl::MutexLock lock(&mutex_);
  changed_.Await(&mutex_, wait, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasWork(); });
  *closures = std::exchange(posted_, {});
  return !stopped_ || !closures->empty();
}

void EventLoop::Start(Turn turn) {
  KEDGE_CHECK(!thread_.joinable());
  thread_ = std::thread([this, turn = std::move(turn)] {
    bool busy = true;
    std::vector<std::function<void()>> closures;
    while (TakePosted(busy ? absl::ZeroDuration() : idle_interval_, &closures)) {
      for (auto& closure : closures) closure();
      closures.clear();
      turns_.fetch_add(1, std::memory_order_relaxed);
      busy = turn();
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
}

bool EventLoop::RunOnce(const Turn& turn) {
  std::vector<std::function<void()>> closures;
  TakePosted(absl::ZeroDuration(), &closures);
  for (auto& closure : closures) closure();
  turns_.fetch_add(1, std::memory_order_relaxed);
  return turn() || !closures.empty();
}

}  // namespace kedge
