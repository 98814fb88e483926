#include "eval/forms/words.h"

#include <set>
#include <string>

#include "eval/forms/recall_templates.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(WordsTest, NoListHasAWordOfAnother) {
  std::set<std::string> all;
  for (const auto& words : {Adjectives(), Nouns(), RareNouns(), FirstNames(), FamilyNames(), Towns()}) {
    EXPECT_GE(words.size(), 30u);
    for (absl::string_view word : words) EXPECT_TRUE(all.insert(std::string(word)).second) << word;
  }
  // Nor is one of them what settings are fitted on.
  for (const FactKind& kind : TemplatesOf(RecallFamily::kCalibration).facts) {
    for (const auto* list : {&kind.subjects, &kind.values}) {
      for (const std::string& word : *list) EXPECT_EQ(all.count(word), 0u) << word;
    }
  }
}

TEST(WordsTest, WhatIsDrawnIsDifferent) {
  Random random(1);
  const std::vector<std::string> words = Draw(Nouns(), Nouns().size(), &random);
  EXPECT_EQ(std::set<std::string>(words.begin(), words.end()).size(), Nouns().size());
  const std::vector<std::string> numbers = DrawNumbers(2, 90, &random);
  EXPECT_EQ(std::set<std::string>(numbers.begin(), numbers.end()).size(), 90u);
  for (const std::string& number : numbers) EXPECT_NE(number[0], '0');
}

TEST(WordsTest, UuidsOfVersionFour) {
  Random random(1);
  std::set<std::string> uuids;
  for (int i = 0; i < 100; ++i) {
    const std::string uuid = DrawUuid(&random);
    EXPECT_THAT(uuid, testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    uuids.insert(uuid);
  }
  EXPECT_EQ(uuids.size(), 100u);
}

}  // namespace
}  // namespace kedge
