// A few threads that run posted closures: for work that must not run on the threads of gRPC.
#ifndef KEDGE_COMMON_BASE_EXECUTOR_H_
#define KEDGE_COMMON_BASE_EXECUTOR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace kedge {

// Thread-safe. With zero threads Post runs its closure inline, on the caller's thread.
class Executor {
 public:
  explicit Executor(int threads);
  // Runs what was posted, drops what is not due yet, and joins the threads.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void Post(std::function<void()> closure) ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs `closure` after `delay`. REQUIRES: there is a thread.
  void PostAfter(absl::Duration delay, std::function<void()> closure) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using TimeAndOrder = std::pair<absl::Time, uint64_t>;

  void Work() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Time FirstDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return delayed_.empty() ? absl::InfiniteFuture() : delayed_.begin()->first.first;
  }

  absl::Mutex mutex_;
  SteadyCondVar changed_;
  std::deque<std::function<void()>> ready_ ABSL_GUARDED_BY(mutex_);
  std::map<TimeAndOrder, std::function<void()>> delayed_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_order_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_EXECUTOR_H_
