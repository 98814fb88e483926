#include "common/base/executor.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ExecutorTest, RunsInlineWithoutThreads) {
  Executor executor(0);
  std::thread::id id;
  executor.Post([&] { id = std::this_thread::get_id(); });
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(ExecutorTest, RunsEverythingThatWasPostedBeforeItsEnd) {
  std::atomic<int> count{0};
  {
    Executor executor(3);
    for (int i = 0; i < 1000; ++i) executor.Post([&] { ++count; });
  }
  EXPECT_EQ(count, 1000);
}

TEST(ExecutorTest, RunsDelayedClosuresInOrderOfTheirTimesAndNotEarly) {
  Executor executor(1);
  std::vector<int> order;  // written by the one thread, read after `done`
  absl::Notification done;
  const absl::Time start = absl::Now();
  executor.PostAfter(absl::Milliseconds(60), [&] {
    order.push_back(2);
    done.Notify();
  });
  executor.PostAfter(absl::Milliseconds(20), [&] { order.push_back(1); });
  executor.Post([&] { order.push_back(0); });
  done.WaitForNotification();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(60));
}

TEST(ExecutorTest, EarlierDelayWakesASleeper) {
  Executor executor(2);
  executor.PostAfter(absl::Hours(1), [] {});
  absl::SleepFor(absl::Milliseconds(20));  // the threads sleep until the hour is over
  absl::Notification done;
  executor.PostAfter(absl::Milliseconds(1), [&] { done.Notify(); });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(5)));
}

// The thread that was first to learn of a timer may be the one that becomes busy: then another one must know.
TEST(ExecutorTest, TimerComesInTimeWhicheverThreadIsBusy) {
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(round);
    absl::Notification done;
    absl::Notification release;
    Executor executor(2);
    executor.PostAfter(absl::Hours(1), [] {});
    absl::SleepFor(absl::Milliseconds(1));
    executor.PostAfter(absl::Milliseconds(4), [&] { done.Notify(); });
    if (round % 2 == 0) absl::SleepFor(absl::Milliseconds(1));
    executor.Post([&] { release.WaitForNotification(); });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(5)));
    release.Notify();
    if (HasFailure()) return;
  }
}

TEST(ExecutorTest, DropsWhatIsNotDueAtItsEnd) {
  auto held = std::make_shared<int>(1);
  {
    Executor executor(1);
    executor.PostAfter(absl::Hours(1), [held] {});
  }
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace kedge
