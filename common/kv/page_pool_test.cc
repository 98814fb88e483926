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
    std::set<PageId> of_a, of_b;
    for (int i = 0; i < 4; ++i) of_a.insert(a.Take());
    for (int i = 0; i < 6; ++i) of_b.insert(b.Take());
    std::set<PageId> pages = of_a;
    pages.insert(of_b.begin(), of_b.end());
    EXPECT_EQ(pages.size(), 10u);
    EXPECT_EQ(pool.num_free(), 0u);
    for (PageId page : of_a) a.GiveBack(page);
    for (PageId page : of_b) b.GiveBack(page);
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

TEST(PagePoolTest, ASharedPageIsFreeWhenItsLastHolderGivesItUp) {
  PagePool pool(2);
  PageLease donor = pool.Reserve(1).value();
  const PageId page = donor.Take();
  {
    PageLease other = pool.Reserve(1).value();
    other.Share(page);
    EXPECT_EQ(other.num_unused(), 0u);  // sharing counts as holding
    donor.GiveBack(page);
    EXPECT_NE(donor.Take(), page);
    other.GiveBack(page);
  }
  PageLease next = pool.Reserve(1).value();
  EXPECT_EQ(next.Take(), page);
  next.GiveBack(page);
  donor.GiveBack(1 - page);
}

TEST(PagePoolTest, WhatIsHeldBesidesReservationsIsGivenUpWhenAPageIsTaken) {
  PagePool pool(3);
  std::vector<PageId> cached;
  pool.set_reclaim([&] {
    if (cached.empty()) return false;
    pool.Release(cached.back());
    cached.pop_back();
    return true;
  });
  {
    PageLease lease = pool.Reserve(3).value();
    for (int i = 0; i < 3; ++i) {
      cached.push_back(lease.Take());
      pool.Hold(cached.back());
      lease.GiveBack(cached.back());
    }
  }
  EXPECT_EQ(pool.num_free(), 3u);  // to reserve
  PageLease lease = pool.Reserve(3).value();
  const PageId shared = cached[0];
  lease.Share(shared);
  const PageId a = lease.Take(), b = lease.Take();
  EXPECT_EQ(std::set<PageId>({shared, a, b}).size(), 3u);  // a page that a request holds stays its own
  for (PageId page : {shared, a, b}) lease.GiveBack(page);
  while (!cached.empty()) {
    pool.Release(cached.back());
    cached.pop_back();
  }
}

}  // namespace
}  // namespace kedge
