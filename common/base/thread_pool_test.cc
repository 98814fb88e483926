#include "common/base/thread_pool.h"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ThreadPoolTest, RunsEachPartOnce) {
  for (int threads : {-1, 0, 1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), std::max(threads, 1));
    std::vector<int> runs(pool.threads(), 0);
    for (int round = 0; round < 200; ++round) pool.Run([&](int part) { ++runs[part]; });
    for (int count : runs) EXPECT_EQ(count, 200);
  }
}

TEST(ThreadPoolTest, CoversEachIndexOnce) {
  for (int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (int count : {0, 1, 2, 3, 4, 17, 1000}) {
      std::vector<int> hits(count, 0);
      pool.ParallelFor(count, [&](int begin, int end) {
        EXPECT_LT(begin, end);
        for (int i = begin; i < end; ++i) ++hits[i];
      });
      EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), count);
      for (int hit : hits) EXPECT_EQ(hit, 1);
    }
  }
}

TEST(ThreadPoolTest, PartsRunAtTheSameTime) {
  ThreadPool pool(3);
  std::atomic<int> arrived{0};
  // Ends only if all three parts are under way together.
  pool.Run([&](int) {
    arrived.fetch_add(1);
    while (arrived.load() < 3) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 3);
}

TEST(ThreadPoolTest, WakesAfterASleepAndIsQuietMeanwhile) {
  ThreadPool pool(3);
  int sum = 0;
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> parts{0};
    pool.Run([&](int) { parts.fetch_add(1); });
    sum += parts.load();
  }
  EXPECT_EQ(sum, 9);

  const auto cpu_seconds = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1e-6 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpu_seconds() - before, 0.1);  // two spinning workers would take 0.3 s and more
}

}  // namespace
}  // namespace kedge
