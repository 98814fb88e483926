#include "cli/progress.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ProgressTest, ShareBarAndTimeLeft) {
  EXPECT_EQ(ProgressText(0, 100, absl::Seconds(5), "a"), "[........................] 0 %: a");
  EXPECT_EQ(ProgressText(50, 100, absl::Seconds(60), "b"), "[############............] 50 %, 60 s left: b");
  EXPECT_EQ(ProgressText(25, 100, absl::Minutes(2), "c"), "[######..................] 25 %, 6 min left: c");
  EXPECT_EQ(ProgressText(100, 100, absl::Minutes(2), "d"), "[########################] 100 %: d");
  EXPECT_EQ(ProgressText(0, 0, absl::ZeroDuration(), "e"), "[########################] 100 %: e");
}

}  // namespace
}  // namespace kedge
