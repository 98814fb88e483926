// A few threads for data-parallel loops inside one operation.
#ifndef KEDGE_COMMON_BASE_THREAD_POOL_H_
#define KEDGE_COMMON_BASE_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace kedge {

// Threads take items of a loop as they come to them, the calling thread among them; no queue, so a call costs about a
// microsecond while the threads are awake. Where other processes hold the cores, a thread that is not running takes
// nothing, and nobody waits for it. A thread that has nothing to do spins for at most 20 us and then sleeps. With at
// most one thread everything runs inline. Owned by one thread.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // At least 1; the caller's thread counts.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs body(thread, item) once for each item in [0, items), on thread 0, the caller's, to threads() - 1, and returns
  // when all are done. `body` must not call Run.
  void Run(int items, absl::FunctionRef<void(int thread, int item)> body);

  // Splits [0, count) at multiples of `grain` into a few ranges per thread and runs body(begin, end) on each.
  void ParallelFor(int count, int grain, absl::FunctionRef<void(int begin, int end)> body);

 private:
  void Work(int thread);
  void TakeItems(int thread);

  absl::FunctionRef<void(int, int)>* body_ = nullptr;  // of the present Run
  int items_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> next_item_{0};
  std::atomic<uint32_t> round_{0};  // counts calls of Run; a change wakes the workers
  std::atomic<uint32_t> inside_;    // workers in the present Run, and whether it takes no more of them
  std::vector<std::thread> workers_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_THREAD_POOL_H_
