#include "router/prefix_memory.h"

#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

auto Held(uint64_t registration, uint32_t tokens) {
  return testing::AllOf(Field(&HeldPrefix::registration, registration), Field(&HeldPrefix::tokens, tokens));
}

std::vector<uint32_t> Text(uint32_t size, uint32_t first = 0) {
  std::vector<uint32_t> ids(size);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

TEST(PrefixMemoryTest, HashesAreOfWholeBlocksAndOfThePolicy) {
  EXPECT_THAT(PrefixHashes("full", "", Text(kPrefixBlock - 1)), IsEmpty());
  const auto one = PrefixHashes("full", "", Text(kPrefixBlock));
  const auto two = PrefixHashes("full", "", Text(3 * kPrefixBlock - 1));
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(one[0], two[0]);
  EXPECT_NE(PrefixHashes("window", "", Text(kPrefixBlock))[0], one[0]);
  EXPECT_NE(PrefixHashes("full", "domain", Text(kPrefixBlock))[0], one[0]);
  EXPECT_NE(PrefixHashes("full", "", Text(kPrefixBlock, 1))[0], one[0]);
}

TEST(PrefixMemoryTest, EachNodeHasItsLongestBeginning) {
  PrefixMemory memory;
  memory.Note(PrefixHashes("full", "", Text(300)), 1);
  memory.Note(PrefixHashes("full", "", Text(130)), 2);
  EXPECT_THAT(memory.Find(PrefixHashes("full", "", Text(1000))), UnorderedElementsAre(Held(1, 256), Held(2, 128)));
  EXPECT_THAT(memory.Find(PrefixHashes("full", "", Text(200))), UnorderedElementsAre(Held(1, 192), Held(2, 128)));
  std::vector<uint32_t> other = Text(300);
  other[100] = 0;
  EXPECT_THAT(memory.Find(PrefixHashes("full", "", other)), UnorderedElementsAre(Held(1, 64), Held(2, 64)));
  EXPECT_THAT(memory.Find(PrefixHashes("window", "", Text(300))), IsEmpty());
}

TEST(PrefixMemoryTest, ForgetsWhatWasUsedLeastAndTheLongestFirst) {
  PrefixMemory memory(6);
  memory.Note(PrefixHashes("full", "", Text(256)), 1);        // 4 blocks
  memory.Note(PrefixHashes("full", "", Text(256, 1000)), 2);  // and 4 others
  EXPECT_THAT(memory.Find(PrefixHashes("full", "", Text(256))), ElementsAre(Held(1, 128)));
  EXPECT_THAT(memory.Find(PrefixHashes("full", "", Text(256, 1000))), ElementsAre(Held(2, 256)));
}

TEST(PrefixMemoryTest, OfManyNodesTheLatestAreKnown) {
  PrefixMemory memory;
  for (uint64_t registration = 1; registration <= 100; ++registration) {
    memory.Note(PrefixHashes("full", "", Text(64)), registration);
  }
  const std::vector<HeldPrefix> held = memory.Find(PrefixHashes("full", "", Text(64)));
  EXPECT_EQ(held.size(), 8u);
  EXPECT_EQ(held[0].registration, 100u);
}

}  // namespace
}  // namespace kedge
