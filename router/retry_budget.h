// How many calls may be made again.
#ifndef KEDGE_ROUTER_RETRY_BUDGET_H_
#define KEDGE_ROUTER_RETRY_BUDGET_H_

#include <algorithm>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace kedge {

// Under overload every call that is made again takes the place of another one, and calls that fail because all nodes
// are full would double the load that filled them. So of a router's calls one in ten may be a second try, and a few at
// once after a quiet time, so that the loss of a node is hardly ever seen.
//
// An answer that has begun asks nobody: when its node dies it goes on elsewhere at once. What was written is lost
// otherwise, the client sees the break, and there are never more such calls than answers that were under way: they are
// no echo of the load. Thread-safe.
class RetryBudget {
 public:
  static constexpr double kShare = 0.1;
  static constexpr double kMost = 20;  // saved up

  // A first call is made.
  void CountCall() {
    absl::MutexLock lock(&mutex_);
    saved_ = std::min(kMost, saved_ + kShare);
  }
  // Whether a call may be made again; then it has been counted.
  bool TakeRetry() {
    absl::MutexLock lock(&mutex_);
    if (saved_ < 1) return false;
    saved_ -= 1;
    return true;
  }

 private:
  absl::Mutex mutex_;
  double saved_ ABSL_GUARDED_BY(mutex_) = kMost;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_RETRY_BUDGET_H_
