// One atomic counts rounds, another the workers that have not finished the round. Both are waited for in the same way:
// a short spin (the next operation of a forward pass usually follows within microseconds), then a futex.
//
// `body_` and `stopping_` are plain members: they are written before `round_` is released, read after it is acquired,
// and not touched again until every worker has released `unfinished_`. Tested by thread_pool_test.cc.
#include "common/base/thread_pool.h"

#include <algorithm>
#include <chrono>

namespace kedge {
namespace {

constexpr auto kMaxSpin = std::chrono::microseconds(20);

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Returns once `value` differs from `old`. Acquires what was released with the new value.
uint32_t WaitWhileEqual(const std::atomic<uint32_t>& value, uint32_t old) {
  uint32_t now = value.load(std::memory_order_acquire);
  if (now != old) return now;
  const auto give_up = std::chrono::steady_clock::now() + kMaxSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      Pause();
      now = value.load(std::memory_order_acquire);
      if (now != old) return now;
    }
  } while (std::chrono::steady_clock::now() < give_up);
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(std::max(threads - 1, 0));
  for (int part = 1; part < threads; ++part) workers_.emplace_back([this, part] { Work(part); });
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(absl::FunctionRef<void(int part)> body) {
  if (workers_.empty()) return body(0);
  body_ = &body;
  unfinished_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);  // released with round_
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  body(0);
  uint32_t unfinished = unfinished_.load(std::memory_order_acquire);
  while (unfinished != 0) unfinished = WaitWhileEqual(unfinished_, unfinished);
}

void ThreadPool::ParallelFor(int count, absl::FunctionRef<void(int begin, int end)> body) {
  if (workers_.empty() || count <= 1) {
    if (count > 0) body(0, count);
    return;
  }
  Run([&](int part) {
    const int begin = static_cast<int>(int64_t{count} * part / threads());
    const int end = static_cast<int>(int64_t{count} * (part + 1) / threads());
    if (begin < end) body(begin, end);
  });
}

void ThreadPool::Work(int part) {
  for (uint32_t round = 0;;) {
    // Rounds follow one another only after this worker has finished, so none is missed.
    round = WaitWhileEqual(round_, round);
    if (stopping_) return;
    (*body_)(part);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  }
}

}  // namespace kedge
