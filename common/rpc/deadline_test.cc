#include "common/rpc/deadline.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(DeadlineTest, SurvivesBothWays) {
  EXPECT_EQ(DeadlineFrom(DeadlineTo(absl::InfiniteFuture())), absl::InfiniteFuture());
  const absl::Time time = absl::FromUnixMillis(1234567890123);
  EXPECT_EQ(DeadlineFrom(DeadlineTo(time)), time);
}

}  // namespace
}  // namespace kedge
