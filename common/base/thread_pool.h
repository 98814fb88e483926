// A few threads for data-parallel loops inside one operation.
#ifndef KEDGE_COMMON_BASE_THREAD_POOL_H_
#define KEDGE_COMMON_BASE_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace kedge {

// Splits a loop into one fixed part per thread: no queue, no stealing, so a call costs about a microsecond while the
// threads are awake. A thread that has nothing to do spins for at most 20 us and then sleeps. The calling thread takes
// part 0; with at most one thread everything runs inline. Owned by one thread.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // At least 1; the caller's thread counts.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs body(part) once for each part in [0, threads()), and returns when all are done. `body` must not call Run.
  void Run(absl::FunctionRef<void(int part)> body);

  // Splits [0, count) into threads() ranges of nearly equal length and runs body(begin, end) on those not empty.
  void ParallelFor(int count, absl::FunctionRef<void(int begin, int end)> body);

 private:
  void Work(int part);

  absl::FunctionRef<void(int)>* body_ = nullptr;  // of the present Run
  bool stopping_ = false;
  std::atomic<uint32_t> round_{0};       // counts calls of Run; a change wakes the workers
  std::atomic<uint32_t> unfinished_{0};  // workers that are still at the present round
  std::vector<std::thread> workers_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_THREAD_POOL_H_
