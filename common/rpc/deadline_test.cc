#include "common/rpc/deadline.h"

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr absl::Duration kSlack = absl::Seconds(5);  // of a busy machine

class DeadlineTest : public testing::Test {
 protected:
  // Of 2001: as far from the machine's clock as one can be that was set since.
  SimulatedClock clock_;
};

TEST_F(DeadlineTest, NoneIsNoneBothWays) {
  EXPECT_EQ(DeadlineFrom(std::chrono::system_clock::time_point::max(), clock_), absl::InfiniteFuture());
  EXPECT_EQ(DeadlineTo(absl::InfiniteFuture(), clock_), std::chrono::system_clock::time_point::max());
  EXPECT_EQ(DeadlineIn(absl::InfiniteDuration()), std::chrono::system_clock::time_point::max());
}

TEST_F(DeadlineTest, HowLongThereIsToGoIsTakenOver) {
  for (const absl::Duration left : {absl::Seconds(60), absl::ZeroDuration(), -absl::Hours(2)}) {
    const absl::Time before = absl::FromChrono(std::chrono::system_clock::now());
    const absl::Duration from = DeadlineFrom(absl::ToChronoTime(before + left), clock_) - clock_.Now();
    EXPECT_LE(from, left);
    EXPECT_GE(from, left - kSlack);
    const absl::Duration to = absl::FromChrono(DeadlineTo(clock_.Now() + left, clock_)) - before;
    EXPECT_GE(to, left);
    EXPECT_LE(to, left + kSlack);
  }
}

TEST_F(DeadlineTest, FarAwayStaysFarAway) {
  const auto farthest = std::chrono::system_clock::time_point::max() - std::chrono::nanoseconds(1);
  EXPECT_GT(DeadlineFrom(farthest, clock_), clock_.Now() + absl::Hours(24 * 365));
  EXPECT_GT(absl::FromChrono(DeadlineTo(clock_.Now() + absl::Hours(24 * 365 * 1000), clock_)),
            absl::Now() + absl::Hours(24 * 365));
  EXPECT_LT(absl::FromChrono(DeadlineTo(absl::InfinitePast(), clock_)), absl::Now());
}

}  // namespace
}  // namespace kedge
