#include "common/anchor/salience_links.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;

TEST(SalienceLinks, HoldsTheMostThatARowGivesInOrder) {
  SalienceLinks links(5, 2);
  links.Add(3, 1, {10, 0, 30, 99});
  links.Add(3, 1, {20, 0, 5, 99});
  links.Add(4, 1, {0, 7, 7, 0, 99});
  EXPECT_THAT(links.Of(3, 1), ElementsAre(SalienceLink{2, 30}, SalienceLink{0, 20}));
  EXPECT_THAT(links.Of(4, 1), ElementsAre(SalienceLink{1, 7}, SalienceLink{2, 7})) << "of equal ones the earlier first";
  EXPECT_TRUE(links.Of(3, 0).empty());
}

TEST(SalienceLinks, TheOrderOfRowsAndWhoGatheredThemMakeNoDifference) {
  constexpr size_t kFrom = 40;
  std::mt19937 random(3);
  std::vector<std::vector<uint32_t>> rows(30, std::vector<uint32_t>(kFrom + 1));
  for (auto& row : rows) {
    for (uint32_t& mass : row) mass = random() % 3 == 0 ? random() % 50 : 0;
  }
  std::vector<uint32_t> most(kFrom);
  for (const auto& row : rows) {
    for (size_t to = 0; to < kFrom; ++to) most[to] = std::max(most[to], row[to]);
  }
  SalienceLinks once(kFrom + 1, 1), backwards(kFrom + 1, 1), first(kFrom + 1, 1), second(kFrom + 1, 1);
  for (size_t i = 0; i < rows.size(); ++i) {
    once.Add(kFrom, 0, rows[i]);
    backwards.Add(kFrom, 0, rows[rows.size() - 1 - i]);
    (i < 11 ? first : second).Add(kFrom, 0, rows[i]);
  }
  second.Merge(kFrom, 0, first.Of(kFrom, 0));
  EXPECT_EQ(once.Of(kFrom, 0), backwards.Of(kFrom, 0));
  EXPECT_EQ(once.Of(kFrom, 0), second.Of(kFrom, 0));
  ASSERT_EQ(once.Of(kFrom, 0).size(), SalienceLinks::kMost);
  for (const SalienceLink& link : once.Of(kFrom, 0)) EXPECT_EQ(link.mass, most[link.to]);
  size_t larger = 0;
  for (uint32_t mass : most) larger += mass > once.Of(kFrom, 0).back().mass;
  EXPECT_LT(larger, SalienceLinks::kMost);
}

}  // namespace
}  // namespace kedge
