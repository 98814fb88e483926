#include "common/kv/held_rows.h"

#include <numeric>
#include <optional>

#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kRowBytes = 4;

Content Text(uint32_t size, uint32_t prompt_length) {
  Content content{.ids = std::vector<uint32_t>(size), .prompt_length = prompt_length};
  std::iota(content.ids.begin(), content.ids.end(), 7);
  content.policy = {.anchors = {3}, .recent = 4, .prefill_full = true, .write_full = true};
  return content;
}

std::vector<uint8_t> Bytes(size_t rows, uint8_t value) { return std::vector<uint8_t>(rows * kRowBytes, value); }

std::vector<uint32_t> PositionsOf(const std::vector<HeldRows::Row>& rows) {
  std::vector<uint32_t> positions;
  for (const HeldRows::Row& row : rows) positions.push_back(row.position);
  return positions;
}

class HeldRowsTest : public testing::Test {
 protected:
  // A frame of rows at these positions, each byte of which is `value`.
  void Add(const Content& content, const std::vector<uint32_t>& positions, uint8_t value = 1) {
    held_.Add(held_.Names(content), positions, Bytes(positions.size(), value));
  }
  std::vector<HeldRows::Row> Find(const Content& content) { return held_.Find(held_.Names(content)); }

  HeldRows held_{{.fingerprint = "model", .kv_type = "f16", .numerics_class = "hash-1"}, 100 * kRowBytes};
};

TEST_F(HeldRowsTest, RowsAreFoundByPositionWithTheFrameThatTheyCameIn) {
  const Content content = Text(100, 101);
  Add(content, {2, 40, 41}, 1);
  Add(content, {5, 50}, 2);
  const std::vector<HeldRows::Row> found = Find(content);
  EXPECT_EQ(PositionsOf(found), std::vector<uint32_t>({2, 5, 40, 41, 50}));
  const uint32_t values[] = {1, 2, 1, 1, 2}, indices[] = {0, 0, 1, 2, 1};
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].index, indices[i]);
    EXPECT_EQ(found[i].frame->bytes[0], values[i]);
    EXPECT_EQ(found[i].frame->num_rows, values[i] == 1 ? 3u : 2u);
  }
  EXPECT_EQ(held_.num_rows(), 5u);
  EXPECT_EQ(held_.num_bytes(), 5u * kRowBytes);
}

TEST_F(HeldRowsTest, WhatIsAskedAndWhereThePromptEndsDoesNotMatter) {
  Add(Text(100, 101), {2, 40, 79});
  Content other = Text(300, 301);
  other.policy.salient_millionths = 70000;
  other.policy.sinks = 4;
  other.pinned = {{2, 9}};
  other.turn_begin = 90;
  EXPECT_EQ(PositionsOf(Find(other)), std::vector<uint32_t>({2, 40, 79}));
  EXPECT_EQ(PositionsOf(Find(Text(60, 61))), std::vector<uint32_t>({2, 40}));
}

TEST_F(HeldRowsTest, BehindAnotherTokenNothingIsFound) {
  Add(Text(100, 101), {2, 15, 16, 31, 32, 70});
  for (const uint32_t at : {0u, 15u, 16u, 31u, 32u, 99u}) {
    Content other = Text(100, 101);
    other.ids[at] = 1;
    for (const HeldRows::Row& row : Find(other)) {
      EXPECT_LT(row.position, at / HeldRows::kNameTokens * HeldRows::kNameTokens) << at;
    }
    EXPECT_EQ(Find(other).size(), at < 16 ? 0u : at < 32 ? 2u : at < 99 ? 4u : 6u) << at;
  }
}

TEST_F(HeldRowsTest, OnlyCompleteRowsAreHeld) {
  // Rows from n-1 on, in a state that a failed answer is gone on from.
  Content answered = Text(100, 50);
  EXPECT_EQ(held_.Names(answered).size(), 49 / HeldRows::kNameTokens);
  Add(answered, {47, 48, 49, 99});
  EXPECT_EQ(PositionsOf(Find(Text(100, 101))), std::vector<uint32_t>({47}));
  Content anchored = Text(100, 101);
  anchored.policy.prefill_full = false;
  EXPECT_TRUE(held_.Names(anchored).empty());
  // Behind the last full block rows have no name yet.
  Add(Text(100, 101), {96, 97});
  EXPECT_EQ(Find(Text(200, 201)).size(), 1u);
}

TEST_F(HeldRowsTest, ModelsTypesClassesAndDomainsAreApart) {
  const Content content = Text(100, 101);
  const ChainRoot root{.fingerprint = "model", .kv_type = "f16", .numerics_class = "hash-1"};
  const std::vector<ChainKey> names = HeldRows(root, 1).Names(content);
  EXPECT_EQ(names, held_.Names(content));
  const auto expect_apart = [&](const std::vector<ChainKey>& others) {
    ASSERT_EQ(others.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i) EXPECT_NE(others[i], names[i]);
  };
  for (std::string ChainRoot::* field :
       {&ChainRoot::fingerprint, &ChainRoot::kv_type, &ChainRoot::numerics_class}) {
    ChainRoot other = root;
    other.*field = "another";
    expect_apart(HeldRows(other, 1).Names(content));
  }
  Content of_another = content;
  of_another.cache_domain = "another";
  expect_apart(held_.Names(of_another));
  Add(content, {3, 40});
  EXPECT_TRUE(Find(of_another).empty());
}

TEST_F(HeldRowsTest, TheLeastRecentlyUsedFrameGoesFirst) {
  const Content content = Text(1000, 1001);
  for (uint32_t frame = 0; frame < 10; ++frame) {
    std::vector<uint32_t> positions(10);
    std::iota(positions.begin(), positions.end(), frame * 20);
    Add(content, positions);
  }
  EXPECT_EQ(held_.num_bytes(), 100u * kRowBytes);
  held_.Use(Find(content).front().frame.get());
  Add(content, {900, 901});
  EXPECT_EQ(held_.num_bytes(), 92u * kRowBytes);
  const std::vector<uint32_t> positions = PositionsOf(Find(content));
  EXPECT_EQ(positions.size(), 92u);
  EXPECT_EQ(positions.front(), 0u);  // it was used
  EXPECT_EQ(positions[10], 40u);     // that from 20 to 29 went
}

TEST_F(HeldRowsTest, WhatSomebodyRefersToStaysAndCounts) {
  const Content content = Text(1000, 1001);
  for (uint32_t frame = 0; frame < 4; ++frame) {
    std::vector<uint32_t> positions(25);
    std::iota(positions.begin(), positions.end(), frame * 25);
    Add(content, positions);
  }
  std::optional<std::vector<HeldRows::Row>> promised = Find(content);
  Add(content, {900});  // nothing can go for it
  EXPECT_EQ(held_.num_bytes(), 100u * kRowBytes);
  EXPECT_EQ(held_.num_rows(), 100u);
  for (const HeldRows::Row& row : *promised) EXPECT_EQ(row.frame->bytes.size(), 25u * kRowBytes);
  promised->resize(50);  // the others are let go
  Add(content, {900});
  EXPECT_EQ(held_.num_rows(), 76u);
  promised.reset();
  for (uint32_t at = 200; at < 900; ++at) Add(content, {at});
  EXPECT_EQ(held_.num_rows(), 100u);
  EXPECT_EQ(PositionsOf(Find(content)).front(), 800u);
}

TEST_F(HeldRowsTest, WhatIsHeldAlreadyOrTooLargeIsNotTaken) {
  const Content content = Text(1000, 1001);
  Add(content, {2, 3}, 1);
  Add(content, {2, 3}, 2);
  EXPECT_EQ(held_.num_bytes(), 2u * kRowBytes);
  Add(content, {2, 3, 4}, 3);  // one is new
  EXPECT_EQ(held_.num_bytes(), 5u * kRowBytes);
  const std::vector<HeldRows::Row> found = Find(content);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[1].frame->bytes[0], 1);
  EXPECT_EQ(found[2].frame->bytes[0], 3);
  std::vector<uint32_t> positions(101);
  std::iota(positions.begin(), positions.end(), 100);
  Add(content, positions);
  EXPECT_EQ(held_.num_rows(), 3u);
}

TEST(HeldRowsBudgetTest, WithoutABudgetNothingIsHeld) {
  HeldRows held({.fingerprint = "model"}, 0);
  const std::vector<ChainKey> names = held.Names(Text(100, 101));
  EXPECT_TRUE(names.empty());
  held.Add(names, {2}, Bytes(1, 1));
  EXPECT_EQ(held.num_bytes(), 0u);
}

}  // namespace
}  // namespace kedge
