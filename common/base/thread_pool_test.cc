#include "common/base/thread_pool.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ThreadPoolTest, RunsEachItemOnceOnAThreadOfItsOwn) {
  for (int threads : {-1, 0, 1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), std::max(threads, 1));
    for (int items : {0, 1, 2, 5, 40}) {
      std::vector<int> runs(items, 0);
      std::vector<int> by_thread(pool.threads(), 0);  // not atomic: a thread number is one thread's
      for (int round = 0; round < 200; ++round) {
        pool.Run(items, [&](int thread, int item) {
          ++runs[item];
          ++by_thread[thread];
        });
      }
      for (int count : runs) EXPECT_EQ(count, 200);
      EXPECT_EQ(std::accumulate(by_thread.begin(), by_thread.end(), 0), 200 * items);
    }
  }
}

TEST(ThreadPoolTest, CoversEachIndexOnce) {
  for (int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (int count : {0, 1, 2, 3, 4, 17, 1000}) {
      for (int grain : {1, 2, 7}) {
        std::vector<int> hits(count, 0);
        pool.ParallelFor(count, grain, [&](int begin, int end) {
          EXPECT_LT(begin, end);
          EXPECT_EQ(begin % grain, 0);
          for (int i = begin; i < end; ++i) ++hits[i];
        });
        EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), count);
        for (int hit : hits) EXPECT_EQ(hit, 1);
      }
    }
  }
}

TEST(ThreadPoolTest, ItemsRunAtTheSameTime) {
  ThreadPool pool(3);
  std::atomic<int> arrived{0};
  // Ends only if all three items are under way together.
  pool.Run(3, [&](int, int) {
    arrived.fetch_add(1);
    while (arrived.load() < 3) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 3);
}

// A thread that is held up holds nobody else up: the others take its share.
TEST(ThreadPoolTest, NobodyWaitsForAThreadThatHasNoItem) {
  ThreadPool pool(2);
  std::atomic<bool> go{false};
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> slow_thread{-1};
    std::vector<int> taken_by(50, -1);
    pool.Run(50, [&](int thread, int item) {
      taken_by[item] = thread;
      if (item == 0) {  // whoever has it does nothing else until the rest is done
        slow_thread = thread;
        while (!go.load()) std::this_thread::yield();
      } else if (item == 49) {
        go = true;
      }
    });
    EXPECT_EQ(std::count(taken_by.begin(), taken_by.end(), slow_thread.load()), 1);
    go = false;
  }
}

TEST(ThreadPoolTest, WakesAfterASleepAndIsQuietMeanwhile) {
  ThreadPool pool(3);
  int sum = 0;
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> items{0};
    pool.Run(3, [&](int, int) { items.fetch_add(1); });
    sum += items.load();
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
