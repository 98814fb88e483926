#include "eval/forms/haystack.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

size_t Words(absl::string_view text) {
  return std::vector<absl::string_view>(absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())).size();
}

class HaystackTest : public testing::Test {
 protected:
  HaystackTest() {
    for (int i = 0; i < 60; ++i) filler_.push_back(absl::StrCat("Ordinary words about nothing, part ", i, "."));
    options_.count_tokens = Words;
    options_.filler = filler_;
  }

  Haystack Hide(const std::vector<Plant>& plants, const HaystackOptions& options, uint64_t seed = 1) {
    Random random(seed);
    return HideInFiller(plants, options, options_, &random);
  }
  static std::string Slice(const Haystack& made, const ByteRange& range) {
    return made.text.substr(range.begin, range.end - range.begin);
  }

  std::vector<std::string> filler_;
  TextOptions options_;
};

TEST_F(HaystackTest, LengthIsAsAskedAndSmallTextsStillHoldThePlants) {
  const std::vector<Plant> plants = {SentencePlant("One fact."), SentencePlant("Another fact.")};
  for (size_t tokens : {300, 1000, 4000}) EXPECT_NEAR(Words(Hide(plants, {.tokens = tokens}).text), tokens, 8);
  const Haystack small = Hide(plants, {.tokens = 1});
  EXPECT_EQ(Slice(small, small.facts[0][0]), "One fact.");
  EXPECT_EQ(Slice(small, small.facts[1][0]), "Another fact.");
}

TEST_F(HaystackTest, PlantsStandInTheirOrderWhereTheyShould) {
  std::vector<Plant> plants;
  for (int i = 0; i < 6; ++i) plants.push_back(SentencePlant(absl::StrCat("Fact ", i, ".")));
  int shuffled = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Haystack kept = Hide(plants, {.tokens = 400, .keep_order = true}, seed);
    const Haystack any = Hide(plants, {.tokens = 400}, seed);
    for (size_t i = 1; i < plants.size(); ++i) {
      EXPECT_LT(kept.facts[i - 1][0].end, kept.facts[i][0].begin);
      shuffled += any.facts[i - 1][0].begin > any.facts[i][0].begin;
    }
  }
  EXPECT_GT(shuffled, 20);
}

TEST_F(HaystackTest, ABlockStandsBetweenEmptyLines) {
  const Plant block{.text = "| a |\n| b |", .is_block = true, .facts = {{0, 5}, {6, 11}}};
  const Haystack made = Hide({block}, {.tokens = 200});
  EXPECT_THAT(made.text, HasSubstr("\n\n| a |\n| b |\n\n"));
  EXPECT_EQ(Slice(made, made.facts[0][1]), "| b |");
}

TEST_F(HaystackTest, FillerWithAWordToAvoidIsLeftOut) {
  const Haystack made = Hide({SentencePlant("It is 7.")}, {.tokens = 2000, .avoid = {"7", "part 12"}});
  EXPECT_THAT(made.text, Not(HasSubstr("part 7.")));
  EXPECT_THAT(made.text, Not(HasSubstr("part 12.")));
  EXPECT_THAT(made.text, HasSubstr("part 17."));
  // Where every sentence has one there is no filler.
  EXPECT_EQ(Hide({SentencePlant("It is 7.")}, {.tokens = 100, .avoid = {"ordinary"}}).text, "It is 7.");
}

TEST(FillerSentencesTest, ProseAlone) {
  EXPECT_THAT(
      FillerSentences(
          "A heading\n\nThis is the first sentence.  It is\nfollowed by this one!\nand so on\n\n"
          "   code = 1 stands indented here.\n\nTiny. lower case begins\n\nShort. The next one is long enough."),
      ElementsAre("This is the first sentence.", "The next one is long enough."));
  EXPECT_THAT(FillerSentences("A sentence of some words. Another sentence, e.g. this one."),
              ElementsAre("A sentence of some words.", "Another sentence, e.g. this one."));
}

}  // namespace
}  // namespace kedge
