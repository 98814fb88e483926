#include "common/rpc/watchdog.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

const absl::Status kShut = absl::DeadlineExceededError("no connection is accepted");
constexpr absl::Duration kPeriod = absl::Seconds(10);

class DoorJudgeTest : public testing::Test {
 protected:
  // The next try begins `late` after it was due and takes `took`.
  bool GivesUp(const absl::Status& status, absl::Duration took = kPeriod, absl::Duration late = absl::ZeroDuration()) {
    DoorJudge::Try tried{.due = now_, .begin = now_ + late, .end = now_ + late + took, .status = status};
    now_ = std::max(now_ + kPeriod, tried.end);
    return judge_.GivesUp(tried);
  }

  absl::Time now_ = absl::UnixEpoch();
  DoorJudge judge_{3 * kPeriod};
};

TEST_F(DoorJudgeTest, GivesUpAfterTriesInARow) {
  EXPECT_EQ(judge_.period(), kPeriod);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(GivesUp(absl::OkStatus(), absl::Milliseconds(1)));
    EXPECT_FALSE(GivesUp(kShut));
    EXPECT_FALSE(GivesUp(kShut));
  }
  EXPECT_TRUE(GivesUp(kShut));
}

TEST_F(DoorJudgeTest, TriesThatFailAtOnceMustGoOnForTheLimit) {
  EXPECT_FALSE(GivesUp(absl::OkStatus(), absl::Milliseconds(1)));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(GivesUp(kShut, absl::Milliseconds(1)));
  EXPECT_TRUE(GivesUp(kShut, absl::Milliseconds(1)));
}

// Something keeps us from our own address, but perhaps nobody else.
TEST_F(DoorJudgeTest, ADoorThatWasNeverOpenIsNotJudged) {
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(GivesUp(kShut));
}

TEST_F(DoorJudgeTest, AProcessThatStoodStillIsNotJudged) {
  EXPECT_FALSE(GivesUp(absl::OkStatus(), absl::Milliseconds(1)));
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(GivesUp(kShut));
    EXPECT_FALSE(GivesUp(kShut));
    EXPECT_FALSE(i % 2 == 0 ? GivesUp(kShut, absl::Hours(1)) : GivesUp(kShut, kPeriod, absl::Seconds(3)));
  }
}

TEST(WatchdogTest, KnocksUntilNobodyOpensAndSaysSo) {
  std::atomic<int> knocks = 0;
  absl::Notification gave_up;
  std::string why;
  Watchdog watchdog(
      absl::Milliseconds(900),
      [&](absl::Duration timeout) {
        if (++knocks <= 2) return absl::OkStatus();
        absl::SleepFor(timeout);
        return kShut;
      },
      [&](const std::string& line) {
        why = line;
        gave_up.Notify();
      });
  ASSERT_TRUE(gave_up.WaitForNotificationWithTimeout(absl::Seconds(60)));
  EXPECT_GE(knocks, 5);
  EXPECT_TRUE(absl::StrContains(why, "for 900ms (no connection is accepted)")) << why;
}

TEST(WatchdogTest, EndsWithoutWaitingForTheNextTry) {
  const absl::Time begin = absl::Now();
  {
    Watchdog watchdog(
        absl::Hours(1), [](absl::Duration) { return absl::OkStatus(); }, [](const std::string&) { FAIL(); });
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

TEST(WatchdogDeathTest, EndsTheProcess) {
  EXPECT_EXIT(Watchdog::EndProcess("nobody opens"), testing::ExitedWithCode(1), "");
}

}  // namespace
}  // namespace kedge
