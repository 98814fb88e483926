#include "cli/stop_signals.h"

#include <unistd.h>

#include <atomic>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StopSignalsTest, ASignalBecomesAnEvent) {
  std::atomic<int> seen = 0;
  StopSignals signals([&](int signal) { seen = signal; });
  EXPECT_FALSE(signals.stopped());
  EXPECT_FALSE(signals.WaitFor(absl::Milliseconds(1)));
  kill(getpid(), SIGTERM);
  EXPECT_TRUE(signals.WaitFor(absl::Seconds(10)));
  EXPECT_TRUE(signals.stopped());
  signals.SetHandler({});  // waits for the handler that may still run
  EXPECT_EQ(seen, SIGTERM);
}

TEST(StopSignalsTest, ALateHandlerHearsOfAnEarlierSignal) {
  StopSignals signals;
  kill(getpid(), SIGINT);
  ASSERT_TRUE(signals.WaitFor(absl::Seconds(10)));
  int seen = 0;
  signals.SetHandler([&](int signal) { seen = signal; });
  EXPECT_EQ(seen, SIGINT);
}

TEST(StopSignalsTest, WorksWhereTheShellHadSigintIgnored) {
  signal(SIGINT, SIG_IGN);
  {
    StopSignals signals;
    kill(getpid(), SIGINT);
    EXPECT_TRUE(signals.WaitFor(absl::Seconds(10)));
  }
  signal(SIGINT, SIG_DFL);
}

}  // namespace
}  // namespace kedge
