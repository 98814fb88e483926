#include "common/base/event_loop.h"

#include <atomic>

#include "absl/synchronization/notification.h"
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

}  // namespace
}  // namespace kedge
