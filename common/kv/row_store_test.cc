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

// Fills a store with `end` rows of which every `every`-th is kept.
void Fill(uint32_t end, uint32_t every, RowStore* rows) {
  for (uint32_t i = 0; i < end; ++i) {
    rows->AddRecent(i);
    if (i % every == 0) rows->AddKept(i / every);
  }
}

TEST(RowStoreTest, WhoGoesOnSharesFullPagesAndCopiesOpenOnes) {
  PagePool pool(20);
  RowStore donor(pool.Reserve(8).value());
  Fill(110, 3, &donor);  // R 4 pages, K 37 rows: 2 pages
  const StoredRows stored = *donor.Stored(100, 40, 34);
  EXPECT_EQ(stored.pages.first_recent_page, 1u);
  EXPECT_EQ(stored.pages.recent.size(), 3u);
  EXPECT_EQ(RowsOfOpenPages(stored).size(), 4 + 2u);  // 96..99 of R, 32 and 33 of K

  RowStore other(pool.Reserve(8).value());
  const std::vector<RowRef> copies = other.Adopt(stored);
  ASSERT_EQ(copies.size(), 6u);
  EXPECT_EQ(other.tables().recent[0], donor.tables().recent[1]);
  EXPECT_EQ(other.tables().recent[1], donor.tables().recent[2]);
  EXPECT_NE(other.tables().recent[2], donor.tables().recent[3]);
  EXPECT_EQ(other.tables().kept[0], donor.tables().kept[0]);
  EXPECT_NE(other.tables().kept[1], donor.tables().kept[1]);
  EXPECT_EQ(copies[0].page, other.tables().recent[2]);
  EXPECT_EQ(copies[0].index, 0u);
  EXPECT_EQ(copies[5].page, other.tables().kept[1]);
  EXPECT_EQ(copies[5].index, 1u);
  other.AddRecent(100);
  other.AddKept(34);
  EXPECT_EQ(other.RecentRow(100).page, copies[0].page);
  EXPECT_EQ(other.KeptRow(34).page, copies[5].page);

  // What was shared outlives the donor, and is nobody else's meanwhile.
  const PageId shared = other.tables().recent[1];
  donor.Clear();
  donor.AddRecent(0);
  EXPECT_NE(donor.RecentRow(0).page, shared);
}

TEST(RowStoreTest, PagesThatAreFullOrEmptyNeedNoCopy) {
  PagePool pool(20);
  RowStore donor(pool.Reserve(8).value());
  Fill(96, 3, &donor);
  RowStore full(pool.Reserve(6).value());
  EXPECT_TRUE(full.Adopt(*donor.Stored(96, 64, 32)).empty());
  full.AddRecent(96);
  EXPECT_EQ(full.tables().recent.size(), 2u);
  RowStore nothing(pool.Reserve(2).value());  // a state without recent rows
  EXPECT_TRUE(nothing.Adopt(*donor.Stored(90, 90, 0)).empty());
  nothing.AddRecent(90);
  EXPECT_EQ(nothing.RecentRow(90).index, 26u);
}

TEST(RowStoreTest, DroppedPagesAreNotStored) {
  PagePool pool(8);
  RowStore rows(pool.Reserve(8).value());
  Fill(100, 10, &rows);
  rows.DropBefore(70);
  EXPECT_TRUE(rows.Stored(100, 64, 10).has_value());
  EXPECT_FALSE(rows.Stored(100, 63, 10).has_value());
}

TEST(RowStoreTest, RowsThatNeverCameAreNotStored) {
  PagePool pool(8);
  RowStore received(pool.Reserve(4).value());
  for (uint32_t i = 10; i < 50; ++i) received.AddRecent(i);  // a state that begins within a page
  EXPECT_FALSE(received.Stored(50, 0, 0).has_value());
  EXPECT_TRUE(received.Stored(50, 10, 0).has_value());
  RowStore other(pool.Reserve(4).value());
  other.Adopt(*received.Stored(50, 20, 0));
  EXPECT_FALSE(other.Stored(50, 19, 0).has_value());
  EXPECT_TRUE(other.Stored(50, 20, 0).has_value());
}

}  // namespace
}  // namespace kedge
