#include "eval/bm25.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;

TEST(Bm25Test, WordsAreRunsOfLettersOrSingleCharacters) {
  EXPECT_THAT(WordsOf("The max_rows of A4-b, 12."), ElementsAre("the", "max_rows", "of", "a4", "b", "12"));
  EXPECT_THAT(WordsOf("门牌号a1é"), ElementsAre("门", "牌", "号", "a1", "é"));
  EXPECT_TRUE(WordsOf(" ,.").empty());
}

// Scores worked out apart: 2.711, 1.272, 0, 0.964.
TEST(Bm25Test, RareWordsAndShortTextsComeFirst) {
  EXPECT_THAT(
      RankByBm25({"the gate code is red", "the gate of the old town wall is open and it is wide", "a dog", "the gate"},
                 "What is the gate code?"),
      ElementsAre(0, 1, 3, 2));
}

TEST(Bm25Test, WithoutAMatchTheOrderStays) {
  EXPECT_THAT(RankByBm25({"a", "b", "c"}, "z"), ElementsAre(0, 1, 2));
  EXPECT_THAT(RankByBm25({"", "", ""}, ""), ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace kedge
