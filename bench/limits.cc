// Tested by limits_test.cc.
#include "bench/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "bench/plain_loops.h"
#include "common/base/check.h"
#include "common/base/thread_pool.h"
#include "common/kernels/lazy_memory.h"

namespace kedge {
namespace {

constexpr int kPasses = 5;
constexpr double kPassSeconds = 0.02;

// Seconds of one call on all threads at once.
double Time(ThreadPool* pool, absl::FunctionRef<void(int part)> body) {
  const auto start = std::chrono::steady_clock::now();
  pool->Run(pool->threads(), [&](int, int part) { body(part); });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The most that a pass reached: what other programs take for a moment is no limit of the machine.
double BestRate(ThreadPool* pool, const MultiplyLoop& loop) {
  uint64_t rounds = 1 << 10;
  auto run = [&](int) { loop.run(rounds); };
  while (Time(pool, run) < kPassSeconds) rounds *= 2;
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    best = std::max(best, static_cast<double>(rounds * loop.products * pool->threads()) / Time(pool, run));
  }
  return best;
}

double BestReadRate(ThreadPool* pool, size_t bytes) {
  const size_t part = (bytes / pool->threads() + kReadUnit - 1) / kReadUnit * kReadUnit;
  const size_t size = part * pool->threads();
  absl::StatusOr<LazyMemory> buffer = LazyMemory::Allocate(size);  // as weights lie: in large pages
  KEDGE_CHECK(buffer.ok());
  std::memset(buffer->data(), 1, size);  // pages that were never written are one page of zeros
  const int turns = static_cast<int>(std::max<size_t>(1, (size_t{64} << 20) / size));
  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const double seconds = Time(pool, [&](int thread) {
      uint64_t sum = 0;
      for (int turn = 0; turn < turns; ++turn) sum += ReadOnce(buffer->data() + part * thread, part);
      sink.fetch_add(sum, std::memory_order_relaxed);  // only so that the sum is used
    });
    best = std::max(best, static_cast<double>(size) * turns / seconds);
  }
  return best;
}

const MultiplyLoop& FirstAvailable(const std::vector<MultiplyLoop>& loops) {
  return *std::find_if(loops.begin(), loops.end(), [](const MultiplyLoop& loop) { return loop.is_available(); });
}

}  // namespace

Limits MeasureLimits(int threads, size_t read_buffer) {
  const MultiplyLoop& int8 = FirstAvailable(Int8Loops());
  const MultiplyLoop& floats = FirstAvailable(FloatLoops());
  ThreadPool pool(threads);  // after what its threads must be allowed to do was asked for
  return {.read_bytes = BestReadRate(&pool, read_buffer),
          .int8_products = BestRate(&pool, int8),
          .float_products = BestRate(&pool, floats),
          .int8_instruction = int8.instruction,
          .float_instruction = floats.instruction};
}

}  // namespace kedge
