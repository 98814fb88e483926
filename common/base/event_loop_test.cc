#include "common/base/event_loop.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(EventLoopTest, RunsClosuresInOrderOnOneThread) {
  EventLoop loop;
  std::vector<int> order;
  absl::Notification done;
  loop.Start([] { return false; });
  for (int i = 0; i < 100; ++i) loop.Post([&order, i] { order.push_back(i); });
  loop.Post([&done] { done.Notify(); });
  done.WaitForNotification();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(EventLoopTest, TurnsGoOnWhileTheyFindWork) {
  EventLoop loop(absl::Hours(1));
  std::atomic<int> turns{0};
  absl::Notification done;
  loop.Start([&] {
    if (++turns == 50) done.Notify();
    return turns < 50;
  });
  done.WaitForNotification();
  EXPECT_EQ(turns, 50);
}

TEST(EventLoopTest, StopRunsWhatWasPostedBefore) {
  EventLoop loop;
  std::atomic<bool> ran{false};
  loop.Start([] { return false; });
  loop.Post([&] { ran = true; });
  loop.Stop();
  EXPECT_TRUE(ran);
  loop.Post([&] { ran = false; });
  EXPECT_TRUE(ran);
}

TEST(EventLoopTest, WhoEntersRunsWhileATurnHasOpenedTheLoop) {
  EventLoop loop(absl::Hours(1));
  absl::Notification opened, entered;
  std::atomic<int> turns{0};
  std::atomic<bool> is_open{false};
  loop.Start([&] {
    if (++turns > 1) return false;
    loop.Open([&] {
      is_open = true;
      opened.Notify();
      entered.WaitForNotification();
      is_open = false;
    });
    return false;
  });
  opened.WaitForNotification();
  loop.Enter([&] {
    EXPECT_TRUE(is_open);
    EXPECT_EQ(turns, 1);
    entered.Notify();
  });
  // The turn after that, which nothing else would have waited for an hour.
  while (turns < 2) absl::SleepFor(absl::Milliseconds(1));
}

TEST(EventLoopTest, WhoEntersRunsBesideNoClosureAndNoTurn) {
  EventLoop loop;
  int running = 0;  // of them
  int entered = 0;
  const auto alone = [&running] {
    EXPECT_EQ(++running, 1);
    absl::SleepFor(absl::Microseconds(20));
    --running;
  };
  loop.Start([&] {
    alone();
    loop.Open([] { absl::SleepFor(absl::Microseconds(20)); });
    alone();
    return true;
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) {
        loop.Post(alone);
        loop.Enter([&] {
          alone();
          ++entered;
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  loop.Stop();
  EXPECT_EQ(entered, 600);
  loop.Enter([&] { ++entered; });
  EXPECT_EQ(entered, 600);
}

TEST(EventLoopTest, WhoEntersFromAClosureHasItsTurnLater) {
  EventLoop loop;
  std::vector<int> order;
  absl::Notification done;
  loop.Start([] { return false; });
  loop.Post([&] {
    loop.Enter([&] {
      order.push_back(2);
      done.Notify();
    });
    order.push_back(1);
  });
  done.WaitForNotification();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace kedge
