// A worker that wakes up goes into the round, if it is still open; the caller closes it when no item is left, and waits
// for the workers inside alone. Both are waited for in the same way: a short spin (the next operation of a forward pass
// usually follows within microseconds), then a futex.
//
// `body_` and `items_` are plain members: they are written while `inside_` is closed and empty and released
// with what opens it; a worker acquires that when it goes in. Tested by thread_pool_test.cc.
#include "common/base/thread_pool.h"

#include <algorithm>
#include <chrono>

namespace kedge {
namespace {

constexpr auto kMaxSpin = std::chrono::microseconds(20);
constexpr uint32_t kClosed = uint32_t{1} << 31;
constexpr int kRangesPerThread = 4;  // enough that a thread which lost its core for a while holds little up

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

ThreadPool::ThreadPool(int threads) : inside_(kClosed) {
  workers_.reserve(std::max(threads - 1, 0));
  for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { Work(thread); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);  // released with round_
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(int items, absl::FunctionRef<void(int thread, int item)> body) {
  if (workers_.empty() || items <= 1) {
    for (int item = 0; item < items; ++item) body(0, item);
    return;
  }
  body_ = &body;
  items_ = items;
  next_item_.store(0, std::memory_order_relaxed);
  inside_.store(0, std::memory_order_release);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  TakeItems(0);
  inside_.fetch_or(kClosed, std::memory_order_relaxed);
  uint32_t inside = inside_.load(std::memory_order_acquire);
  while (inside != kClosed) inside = WaitWhileEqual(inside_, inside);
}

void ThreadPool::ParallelFor(int count, int grain, absl::FunctionRef<void(int begin, int end)> body) {
  const int grains = (count + grain - 1) / grain;
  const int ranges = std::min(grains, workers_.empty() ? 1 : threads() * kRangesPerThread);
  Run(ranges, [&](int, int range) {
    const int begin = static_cast<int>(int64_t{grains} * range / ranges) * grain;
    const int end = static_cast<int>(int64_t{grains} * (range + 1) / ranges) * grain;
    body(begin, std::min(end, count));
  });
}

void ThreadPool::TakeItems(int thread) {
  const int items = items_;
  for (int item; (item = next_item_.fetch_add(1, std::memory_order_relaxed)) < items;) (*body_)(thread, item);
}

void ThreadPool::Work(int thread) {
  for (uint32_t round = 0;;) {
    round = WaitWhileEqual(round_, round);
    if (stopping_.load(std::memory_order_relaxed)) return;
    uint32_t inside = inside_.load(std::memory_order_relaxed);
    while ((inside & kClosed) == 0) {
      if (!inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire)) continue;
      TakeItems(thread);
      if (inside_.fetch_sub(1, std::memory_order_release) == kClosed + 1) inside_.notify_one();
      break;
    }
  }
}

}  // namespace kedge
