#include "common/kv/page_pool.h"

#include <set>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(PagePoolTest, LeasesHoldDistinctPagesAndGiveThemBack) {
  PagePool pool(10);
  {
    PageLease a = pool.Reserve(4).value();
    PageLease b = pool.Reserve(6).value();
    std::set<PageId> pages;
    for (int i = 0; i < 4; ++i) pages.insert(a.Take());
    for (int i = 0; i < 6; ++i) pages.insert(b.Take());
    EXPECT_EQ(pages.size(), 10u);
    EXPECT_EQ(pool.num_free(), 0u);
  }
  EXPECT_EQ(pool.num_free(), 10u);
}

TEST(PagePoolTest, TooLargeAReservationTakesNothingAndSaysHowMuchIsFree) {
  PagePool pool(3);
  const absl::StatusOr<PageLease> lease = pool.Reserve(4);
  EXPECT_EQ(lease.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(lease.status().message().find("128 rows are needed, 96 of 96 are free"), std::string::npos)
      << lease.status();
  EXPECT_EQ(pool.num_free(), 3u);
}

TEST(PagePoolTest, MovedLeaseGivesBackOnce) {
  PagePool pool(5);
  {
    PageLease a = pool.Reserve(5).value();
    PageLease b = std::move(a);
    a = PageLease();
    EXPECT_EQ(pool.num_free(), 0u);
    EXPECT_EQ(b.num_unused(), 5u);
  }
  EXPECT_EQ(pool.num_free(), 5u);
}

}  // namespace
}  // namespace kedge
