// Time that a steady clock counts, which setting the machine's clock does not move: now, and waits. Abseil's own waits
// end at a time of the machine's clock: where that is set back by ten minutes meanwhile, they last ten minutes longer.
#ifndef KEDGE_COMMON_BASE_STEADY_TIME_H_
#define KEDGE_COMMON_BASE_STEADY_TIME_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace kedge {

// For who is given no Clock, and compares it with nobody else's. Thread-safe.
inline absl::Time SteadyNow() {
  static const RealClock* const clock = new RealClock();
  return clock->Now();
}

// For changes of what an absl::Mutex guards: whoever makes one says so. Thread-safe.
class SteadyCondVar {
 public:
  // Returns whether `ready()`, which it asks at first and after each SignalAll, at the latest after `timeout`.
  // REQUIRES: `mutex` is held; it is released while this waits.
  template <typename Ready>
  bool Await(absl::Mutex* mutex, absl::Duration timeout, Ready ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex)
      ABSL_NO_THREAD_SAFETY_ANALYSIS {  // which does not know that `ready` needs this mutex
    constexpr absl::Duration kLongest = absl::Hours(1);  // infinite times do not fit into the library's
    const absl::Time end = SteadyNow() + timeout;
    Lock lock{mutex};
    while (!ready()) {
      const absl::Duration left = end - SteadyNow();
      if (left <= absl::ZeroDuration()) return false;
      changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(left, kLongest)));
    }
    return true;
  }

  // REQUIRES: the mutex of those that wait is held; then this may die as soon as nobody waits.
  void SignalAll() { changed_.notify_all(); }

 private:
  struct Lock {
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
    absl::Mutex* mutex;
  };

  std::condition_variable_any changed_;
};

// Something that happens once, as an absl::Notification. Thread-safe.
class SteadyNotification {
 public:
  void Notify() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    notified_ = true;
    changed_.SignalAll();
  }

  // Returns whether it has happened, at the latest after `timeout`.
  bool WaitFor(absl::Duration timeout) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return changed_.Await(&mutex_, timeout, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return notified_; });
  }

 private:
  mutable absl::Mutex mutex_;
  mutable SteadyCondVar changed_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_STEADY_TIME_H_
