#include "common/anchor/ranges.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Ranges, ChecksOrderAndBounds) {
  EXPECT_TRUE(CheckRanges({}, 0, "pinned").ok());
  EXPECT_TRUE(CheckRanges({{0, 2}, {2, 3}, {5, 9}}, 9, "pinned").ok());
  const std::vector<std::vector<PositionRange>> wrong = {
      {{0, 0}}, {{3, 2}}, {{0, 10}}, {{0, 3}, {2, 4}}, {{4, 5}, {0, 1}}};
  for (const auto& ranges : wrong) {
    const absl::Status status = CheckRanges(ranges, 9, "pinned");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("pinned["));
  }
}

TEST(Ranges, ContainsExactlyTheirPositions) {
  const std::vector<PositionRange> ranges = {{1, 3}, {3, 4}, {7, 8}};
  std::vector<uint32_t> inside;
  for (uint32_t position = 0; position < 10; ++position) {
    if (Contains(ranges, position)) inside.push_back(position);
  }
  EXPECT_THAT(inside, ElementsAre(1, 2, 3, 7));
  EXPECT_FALSE(Contains({}, 0));
}

TEST(Ranges, AreTheFewestThatHaveThePositions) {
  EXPECT_THAT(RangesOf({0, 1, 2, 5, 7, 8}), ElementsAre(PositionRange{0, 3}, PositionRange{5, 6}, PositionRange{7, 9}));
  EXPECT_TRUE(RangesOf({}).empty());
  EXPECT_THAT(PositionsOf({true, false, false, true}), ElementsAre(0, 3));
}

TEST(Ranges, OverlapWhereTheyShareAPosition) {
  const std::vector<PositionRange> ranges = {{3, 5}, {9, 10}};
  EXPECT_FALSE(Overlaps({0, 3}, ranges));
  EXPECT_TRUE(Overlaps({0, 4}, ranges));
  EXPECT_TRUE(Overlaps({4, 9}, ranges));
  EXPECT_FALSE(Overlaps({5, 9}, ranges));
  EXPECT_TRUE(Overlaps({9, 12}, ranges));
  EXPECT_FALSE(Overlaps({10, 12}, ranges));
}

TEST(Ranges, AUnionHasEachPositionOnce) {
  EXPECT_EQ(UnionOf({{9, 11}, {3, 5}, {4, 4}, {5, 7}, {10, 10}, {3, 4}}),
            (std::vector<PositionRange>{{3, 7}, {9, 11}}));
  EXPECT_EQ(UnionOf({{0, 9}, {2, 4}, {9, 10}}), (std::vector<PositionRange>{{0, 10}}));
  EXPECT_TRUE(UnionOf({{4, 4}}).empty());
}

TEST(Ranges, EndBeforeAPosition) {
  const std::vector<PositionRange> ranges = {{3, 5}, {9, 11}};
  EXPECT_EQ(RangesBefore(11, ranges), ranges);
  EXPECT_EQ(RangesBefore(10, ranges), (std::vector<PositionRange>{{3, 5}, {9, 10}}));
  EXPECT_EQ(RangesBefore(9, ranges), (std::vector<PositionRange>{{3, 5}}));
}

}  // namespace
}  // namespace kedge
