#include "common/kv/row_store.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RowStoreTest, RecentRowsLieByPositionAndKeptRowsByIndex) {
  PagePool pool(8);
  RowStore rows(pool.Reserve(8).value());
  for (uint32_t i = 0; i < 70; ++i) rows.AddRecent(i);
  for (uint32_t i = 0; i < 35; ++i) rows.AddKept(i);
  EXPECT_EQ(rows.tables().recent.size(), 3u);
  EXPECT_EQ(rows.tables().kept.size(), 2u);
  EXPECT_EQ(rows.RecentRow(69).index, 5u);
  EXPECT_EQ(rows.KeptRow(34).index, 2u);
  EXPECT_EQ(rows.KeptRow(34).page, rows.tables().kept[1]);
}

TEST(RowStoreTest, DropsWholePagesOnlyAndReusesThem) {
  PagePool pool(2);
  RowStore rows(pool.Reserve(2).value());
  for (uint32_t i = 0; i < 1000; ++i) {
    rows.AddRecent(i);
    rows.DropBefore(i < 20 ? 0 : i - 20);  // 21 rows may lie in two pages, never in three
  }
  EXPECT_EQ(rows.tables().first_recent_page, (1000u - 21u) / 32);
}

TEST(RowStoreTest, StateMayBeginAnywhere) {
  PagePool pool(2);
  RowStore rows(pool.Reserve(2).value());
  rows.AddKept(0);
  rows.AddRecent(100);
  EXPECT_EQ(rows.tables().first_recent_page, 3u);
  EXPECT_EQ(rows.RecentRow(100).index, 4u);
}

TEST(RowStoreTest, PagesNeededIsEnoughForEveryAlignmentAndTight) {
  for (uint32_t count = 1; count < 200; ++count) {
    const uint32_t pages = PagesNeeded({.recent = count});
    uint32_t most = 0;
    for (uint32_t begin = 0; begin < 64; ++begin) most = std::max(most, (begin + count - 1) / 32 - begin / 32 + 1);
    EXPECT_EQ(pages, most) << count;
  }
  EXPECT_EQ(PagesNeeded({.recent = 0, .kept = 33}), 2u);
}

TEST(RowStoreTest, ClearKeepsTheLease) {
  PagePool pool(2);
  RowStore rows(pool.Reserve(2).value());
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < 64; ++i) rows.AddRecent(i);
    rows.Clear();
  }
  EXPECT_EQ(pool.num_free(), 0u);
}

}  // namespace
}  // namespace kedge
