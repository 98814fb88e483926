// One queue of ready closures and one of delayed ones under one mutex. A worker takes what is due; otherwise it sleeps
// until something is posted or the first delayed closure falls due. Each sleeper wakes when a closure comes that is due
// before its own wake-up time, so all of them sleep to the same one: whichever becomes busy, the others keep the time.
// With a few threads that costs nothing, and no timer thread is needed.
//
// Tested by executor_test.cc.
#include "common/base/executor.h"

#include "common/base/check.h"

namespace kedge {

Executor::Executor(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

Executor::~Executor() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Executor::Post(std::function<void()> closure) {
  if (threads_.empty()) {
    closure();
    return;
  }
  absl::MutexLock lock(&mutex_);
  ready_.push_back(std::move(closure));
  changed_.SignalAll();
}

void Executor::PostAfter(absl::Duration delay, std::function<void()> closure) {
  KEDGE_CHECK(!threads_.empty());
  absl::MutexLock lock(&mutex_);
  delayed_.emplace(TimeAndOrder(SteadyNow() + delay, next_order_++), std::move(closure));
  changed_.SignalAll();
}

void Executor::Work() {
  for (;;) {
    std::function<void()> closure;
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time now = SteadyNow();
      while (!delayed_.empty() && FirstDue() <= now) {
        ready_.push_back(std::move(delayed_.begin()->second));
        delayed_.erase(delayed_.begin());
      }
      if (ready_.empty()) {
        if (stopping_) return;
        const absl::Time wake = FirstDue();
        changed_.Await(&mutex_, wake - now, [this, wake]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
          return stopping_ || !ready_.empty() || FirstDue() < wake;
        });
        continue;
      }
      closure = std::move(ready_.front());
      ready_.pop_front();
    }
    closure();
  }
}

}  // namespace kedge
