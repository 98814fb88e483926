#include "common/kv/content_cache.h"

#include <random>
#include <set>

#include "gtest/gtest.h"

namespace kedge {
namespace {

ChainKey Name(uint8_t number) {
  ChainKey name{};
  name[0] = number;
  return name;
}

// Pages that a request computes and then leaves to the cache.
class ContentCacheTest : public testing::Test {
 protected:
  // Adds checkpoint `number` that goes on from `from` (0: from nothing), with `pages` new pages behind its pages.
  void Add(ContentCache& cache, uint8_t number, uint8_t from, uint32_t pages, uint32_t end = 100) {
    CachedPrefix prefix{.name = Name(number), .rows = {.end = end}};
    std::vector<PageId>& held = prefix.rows.pages.recent;
    if (from != 0) held = cache.Find(Name(from))->rows.pages.recent;
    PageLease lease = pool_.Reserve(static_cast<uint32_t>(held.size()) + pages).value();
    for (PageId page : held) lease.Share(page);
    for (uint32_t i = 0; i < pages; ++i) held.push_back(lease.Take());
    const std::vector<PageId> all = held;
    cache.Add(std::move(prefix), from != 0 ? std::optional(Name(from)) : std::nullopt);
    for (PageId page : all) lease.GiveBack(page);
  }

  std::set<int> Present(ContentCache& cache) {
    std::set<int> present;
    for (int number = 1; number < 20; ++number) {
      if (cache.Find(Name(number)) != nullptr) present.insert(number);
    }
    return present;
  }

  PagePool pool_{16};
};

TEST_F(ContentCacheTest, SharedPagesCountOnceAndEndsAreKnown) {
  ContentCache cache(&pool_, 16);
  Add(cache, 1, 0, 3, 100);
  Add(cache, 2, 1, 2, 200);
  Add(cache, 3, 1, 1, 200);
  EXPECT_EQ(cache.num_pages(), 6u);
  EXPECT_EQ(pool_.num_free(), 16u);  // nothing is reserved
  EXPECT_EQ(cache.Ends(1000), (std::vector<uint32_t>{100, 200}));
  EXPECT_EQ(cache.Ends(199), (std::vector<uint32_t>{100}));
  EXPECT_EQ(cache.Find(Name(2))->rows.pages.recent.size(), 5u);
  EXPECT_EQ(cache.Find(Name(9)), nullptr);
}

TEST_F(ContentCacheTest, TheLeastRecentlyUsedLeafGoesFirst) {
  ContentCache cache(&pool_, 8);
  Add(cache, 1, 0, 2);
  Add(cache, 2, 1, 2);
  Add(cache, 3, 1, 2);
  Add(cache, 4, 0, 2);
  cache.Find(Name(2));  // and with it 1
  Add(cache, 5, 0, 2);  // 3 is the oldest
  EXPECT_EQ(cache.Find(Name(3)), nullptr);
  Add(cache, 6, 0, 2);  // then 4
  EXPECT_EQ(cache.Find(Name(4)), nullptr);
  cache.Find(Name(5));
  cache.Find(Name(6));
  Add(cache, 7, 0, 2);  // 1 has a follower: 2 goes, which it was used with
  EXPECT_EQ(Present(cache), (std::set<int>{1, 5, 6, 7}));
}

TEST_F(ContentCacheTest, ACheckpointBeyondTheBudgetCostsNothingElse) {
  ContentCache cache(&pool_, 4);
  Add(cache, 1, 0, 2);
  Add(cache, 2, 0, 5);
  EXPECT_EQ(Present(cache), (std::set<int>{1}));
}

TEST_F(ContentCacheTest, RequestsTakeWhatTheyReservedFromTheCache) {
  ContentCache cache(&pool_, 16);
  for (int number = 1; number <= 8; ++number) Add(cache, number, 0, 2);
  EXPECT_EQ(cache.num_pages(), 16u);
  PageLease lease = pool_.Reserve(12).value();
  const PageId shared = cache.Find(Name(1))->rows.pages.recent[0];  // of the checkpoint that is used last
  lease.Share(shared);
  std::vector<PageId> taken = {shared};
  while (lease.num_unused() > 0) taken.push_back(lease.Take());
  EXPECT_EQ(std::set<PageId>(taken.begin(), taken.end()).size(), 12u);
  EXPECT_LE(cache.num_pages(), 5u);
  EXPECT_NE(cache.Find(Name(1)), nullptr);
  for (PageId page : taken) lease.GiveBack(page);
}

TEST_F(ContentCacheTest, TheSameCheckpointAgainIsUsedAndMayTellMore) {
  ContentCache cache(&pool_, 16);
  Add(cache, 1, 0, 3);
  const std::vector<PageId> pages = cache.Find(Name(1))->rows.pages.recent;
  PageLease lease = pool_.Reserve(1).value();
  const PageId other = lease.Take();
  cache.Add({.name = Name(1),
             .rows = {.end = 100, .pages = {.recent = {other}}},
             .gathered = std::make_shared<EarlierSalience>(EarlierSalience{.end = 100})},
            std::nullopt);
  EXPECT_EQ(cache.Find(Name(1))->rows.pages.recent, pages);
  EXPECT_EQ(cache.Find(Name(1))->gathered->end, 100u);
  EXPECT_EQ(cache.num_pages(), 3u);
  lease.GiveBack(other);
}

TEST_F(ContentCacheTest, RandomUseKeepsTheBudgetAndEveryPath) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const uint32_t budget = 4 + random() % 10;
    ContentCache cache(&pool_, budget);
    std::map<int, int> from;
    for (int number = 1; number < 20; ++number) {
      const std::set<int> present = Present(cache);
      int parent = random() % 3 ? 1 + static_cast<int>(random() % 19) : 0;
      if (!present.contains(parent)) parent = 0;
      Add(cache, static_cast<uint8_t>(number), static_cast<uint8_t>(parent), random() % 4, 10 * number);
      from[number] = parent;
      ASSERT_LE(cache.num_pages(), budget);
    }
    for (int number : Present(cache)) {  // what a checkpoint goes on from is there
      const int parent = from[number];
      ASSERT_TRUE(parent == 0 || cache.Find(Name(parent)) != nullptr) << number;
    }
  }
}

}  // namespace
}  // namespace kedge
