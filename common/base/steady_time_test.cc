#include "common/base/steady_time.h"

#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(SteadyTimeTest, EndsWithItsTime) {
  SteadyNotification never;
  const absl::Time start = SteadyNow();
  EXPECT_FALSE(never.WaitFor(absl::Milliseconds(20)));
  EXPECT_GE(SteadyNow() - start, absl::Milliseconds(20));
  EXPECT_FALSE(never.WaitFor(absl::ZeroDuration()));
  EXPECT_FALSE(never.WaitFor(-absl::InfiniteDuration()));
}

TEST(SteadyTimeTest, EndsWithWhatItWaitsForAtOnce) {
  for (const absl::Duration timeout : {absl::Hours(48), absl::InfiniteDuration()}) {
    SteadyNotification soon;
    std::thread thread([&] {
      absl::SleepFor(absl::Milliseconds(10));
      soon.Notify();
    });
    EXPECT_TRUE(soon.WaitFor(timeout));
    EXPECT_TRUE(soon.WaitFor(absl::ZeroDuration()));
    thread.join();
  }
}

TEST(SteadyTimeTest, AsksAgainAfterEachSignal) {
  absl::Mutex mutex;
  SteadyCondVar changed;
  int value = 0;
  std::thread thread([&] {
    for (int i = 0; i < 3; ++i) {
      absl::SleepFor(absl::Milliseconds(2));
      absl::MutexLock lock(&mutex);
      ++value;
      changed.SignalAll();
    }
  });
  {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(changed.Await(&mutex, absl::Seconds(10), [&] { return value == 3; }));
  }
  thread.join();
}

}  // namespace
}  // namespace kedge
