// One thread that takes posted closures and, between them, turns of work: the thread that owns an engine.
#ifndef KEDGE_COMMON_BASE_EVENT_LOOP_H_
#define KEDGE_COMMON_BASE_EVENT_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace kedge {

// Post and Enter are thread-safe. Closures and turns run one after another: those of Post in order of posting, on the
// loop's thread (Start) or on the caller's (RunOnce, for simulations).
class EventLoop {
 public:
  // Does some work; returns whether there may be more at once. Called at least every `idle_interval`.
  using Turn = std::function<bool()>;

  explicit EventLoop(absl::Duration idle_interval = absl::Milliseconds(100)) : idle_interval_(idle_interval) {}
  ~EventLoop() { Stop(); }

  void Post(std::function<void()> closure) ABSL_LOCKS_EXCLUDED(mutex_);

  // As Post, for who cannot wait for a turn to end: the closure runs as soon as no other one or turn does, or one of
  // them opens the loop, and a turn follows. It does not wait for what was posted before. It runs on the caller's
  // thread or on that of whoever was in the way; nobody waits for it. From within a closure or turn, too; dropped after
  // Stop.
  void Enter(std::function<void()> closure) ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs `work`, which takes time, with the loop open. REQUIRES: called from a closure of Post or from a turn, where
  // what closures of Enter touch is in order; `work` touches nothing of it.
  void Open(absl::FunctionRef<void()> work) ABSL_NO_THREAD_SAFETY_ANALYSIS;  // the caller has running_

  // Starts the thread. REQUIRES: not started.
  void Start(Turn turn);
  // Ends the thread after the closures that were posted before. Later ones are dropped, and none runs when it returns.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_, running_);

  // Runs what was posted, then one turn; for tests without a thread. Returns whether there was anything to do.
  bool RunOnce(const Turn& turn) ABSL_LOCKS_EXCLUDED(mutex_, running_);

  // Turns so far. A count that stands still is a stuck loop.
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }  // relaxed: a statistic, orders nothing

 private:
  // Takes all posted closures, waiting up to `wait` for one. Returns false once stopped and empty.
  bool TakePosted(absl::Duration wait, std::vector<std::function<void()>>* closures) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || has_entered_ || !posted_.empty(); }
  // Returns what the turn returns.
  bool RunClosuresAndTurn(std::vector<std::function<void()>> closures, const Turn& turn)
      ABSL_LOCKS_EXCLUDED(mutex_, running_);
  // Those of Enter; TryRunEntering leaves them to whoever is in the way.
  void RunEntering() ABSL_EXCLUSIVE_LOCKS_REQUIRED(running_) ABSL_LOCKS_EXCLUDED(mutex_);
  void TryRunEntering() ABSL_LOCKS_EXCLUDED(mutex_);

  const absl::Duration idle_interval_;
  absl::Mutex running_;  // held by whoever runs a closure or a turn, but not while the loop is open
  absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(running_);
  SteadyCondVar changed_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> entering_ ABSL_GUARDED_BY(mutex_);
  bool has_entered_ ABSL_GUARDED_BY(mutex_) = false;  // somebody, since the last turn
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<uint64_t> turns_{0};
  std::thread thread_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_EVENT_LOOP_H_
