// A mailbox and a thread. The thread sleeps on the mailbox while its turns find nothing to do, and polls it between
// turns while they do. Tested by event_loop_test.cc.
#include "common/base/event_loop.h"

#include <utility>

#include "common/base/check.h"

namespace kedge {
namespace {

thread_local const EventLoop* running = nullptr;  // whose closure or turn this thread is in

}  // namespace

void EventLoop::Post(std::function<void()> closure) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  posted_.push_back(std::move(closure));
  changed_.SignalAll();
}

void EventLoop::Enter(std::function<void()> closure) {
  // Whoever is called from a closure or turn may call here in turn, as gRPC does with calls of its users.
  if (running == this) return Post(std::move(closure));
  absl::MutexLock turn(&turn_);
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    entered_ = true;
    changed_.SignalAll();
  }
  running = this;
  closure();
  running = nullptr;
}

void EventLoop::Open(absl::FunctionRef<void()> work) {
  turn_.Unlock();
  work();
  turn_.Lock();
}

bool EventLoop::TakePosted(absl::Duration wait, std::vector<std::function<void()>>* closures) {
  absl::MutexLock lock(&mutex_);
  changed_.Await(&mutex_, wait, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasWork(); });
  *closures = std::exchange(posted_, {});
  entered_ = false;
  return !stopped_ || !closures->empty();
}

bool EventLoop::RunClosuresAndTurn(std::vector<std::function<void()>> closures, const Turn& turn) {
  absl::MutexLock lock(&turn_);
  running = this;
  for (const auto& closure : closures) closure();
  closures.clear();
  turns_.fetch_add(1, std::memory_order_relaxed);
  const bool is_busy = turn();
  running = nullptr;
  return is_busy;
}

void EventLoop::Start(Turn turn) {
  KEDGE_CHECK(!thread_.joinable());
  thread_ = std::thread([this, turn = std::move(turn)] {
    bool is_busy = true;
    std::vector<std::function<void()>> closures;
    while (TakePosted(is_busy ? absl::ZeroDuration() : idle_interval_, &closures)) {
      is_busy = RunClosuresAndTurn(std::exchange(closures, {}), turn);
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
  absl::MutexLock turn(&turn_);  // of a closure of Enter
}

bool EventLoop::RunOnce(const Turn& turn) {
  std::vector<std::function<void()>> closures;
  TakePosted(absl::ZeroDuration(), &closures);
  const bool had_closures = !closures.empty();
  return RunClosuresAndTurn(std::move(closures), turn) || had_closures;
}

}  // namespace kedge
