// Runs closures one after another, on whatever thread comes along.
#ifndef KEDGE_ROUTER_STRAND_H_
#define KEDGE_ROUTER_STRAND_H_

#include <deque>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace kedge {

// What a state machine needs that gets its events from many threads: no two closures run at once, they run in order
// of posting, and no lock is held while one runs, so that it may post further ones or call code that does. The thread
// that finds the strand idle runs its closure before Post returns, and those that others post meanwhile. Thread-safe.
class Strand {
 public:
  void Post(std::function<void()> closure) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      posted_.push_back(std::move(closure));
      if (running_) return;
      running_ = true;
    }
    for (;;) {
      std::function<void()> next;
      {
        absl::MutexLock lock(&mutex_);
        if (posted_.empty()) {
          running_ = false;
          return;
        }
        next = std::move(posted_.front());
        posted_.pop_front();
      }
      next();
    }
  }

 private:
  absl::Mutex mutex_;
  std::deque<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_STRAND_H_
