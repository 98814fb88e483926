#include "eval/recall_cases.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "eval/recall_templates.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;

size_t Words(absl::string_view text) {
  return std::vector<absl::string_view>(absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())).size();
}

std::vector<std::string> Filler() {
  std::vector<std::string> sentences;
  for (int i = 0; i < 60; ++i) sentences.push_back(absl::StrCat("Ordinary words about nothing, part ", i, "."));
  return sentences;
}

RecallOptions Options(const std::vector<std::string>& filler, uint64_t seed, size_t tokens = 800,
                      RecallFamily family = RecallFamily::kEvaluation) {
  return {.family = family, .seed = seed, .tokens = tokens, .count_tokens = Words, .filler = filler};
}

absl::string_view Slice(const RecallCase& made, const ByteRange& range) {
  return absl::string_view(made.message).substr(range.begin, range.end - range.begin);
}

std::vector<RecallText> TextsOf(const RecallOptions& options) {
  return {MakeSeparateFacts(options), MakeCrowdedFacts(options), MakeQuestionFirst(options)};
}

TEST(RecallCasesTest, FactsHoldTheAnswersAndStandOnce) {
  const std::vector<std::string> filler = Filler();
  for (RecallFamily family : {RecallFamily::kCalibration, RecallFamily::kEvaluation}) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      for (const RecallText& text : TextsOf(Options(filler, seed, 800, family))) {
        for (const RecallCase& made : text) {
          SCOPED_TRACE(absl::StrCat(RecallFormName(made.form), " seed ", seed, "\n", made.message));
          ASSERT_EQ(made.facts.size(), made.answers.size());
          ASSERT_EQ(made.answers.size(), made.form == RecallForm::kPair ? 2u : 1u);
          for (size_t i = 0; i < made.facts.size(); ++i) {
            const absl::string_view fact = Slice(made, made.facts[i]);
            EXPECT_TRUE(ContainsAnswer(fact, made.answers[i])) << fact;
            EXPECT_FALSE(absl::StrContains(fact, "\n"));
            EXPECT_EQ(made.message.find(std::string(fact)), made.message.rfind(std::string(fact)));
            EXPECT_FALSE(ContainsAnswer(Slice(made, made.question), made.answers[i]));
          }
          EXPECT_FALSE(absl::StrContains(made.message, "{")) << "a placeholder is left";
          EXPECT_TRUE(absl::StrContains(Slice(made, made.question), "?"));
        }
      }
    }
  }
}

TEST(RecallCasesTest, CasesOfATextDifferInTheQuestionAlone) {
  const std::vector<std::string> filler = Filler();
  const RecallText separate = MakeSeparateFacts(Options(filler, 1));
  const RecallText crowded = MakeCrowdedFacts(Options(filler, 1));
  EXPECT_EQ(separate.size(), 10u);
  EXPECT_EQ(crowded.size(), 15u);
  for (const RecallText& text : {separate, crowded}) {
    std::set<std::string> questions;
    for (const RecallCase& made : text) {
      ASSERT_EQ(made.question.begin, text[0].question.begin);
      ASSERT_EQ(made.message.substr(0, made.question.begin), text[0].message.substr(0, made.question.begin));
      questions.insert(made.message.substr(made.question.begin));
    }
    EXPECT_EQ(questions.size(), text.size());
  }
}

TEST(RecallCasesTest, APlainTextEndsWhereTheAnswerBegins) {
  const std::vector<std::string> filler = Filler();
  for (RecallFamily family : {RecallFamily::kCalibration, RecallFamily::kEvaluation}) {
    RecallOptions options = Options(filler, 1, 800, family);
    const std::string as_chat = MakeSeparateFacts(options)[0].message;
    options.plain = true;
    const RecallText separate = MakeSeparateFacts(options);
    ASSERT_EQ(separate.size(), 15u);
    EXPECT_EQ(MakeCrowdedFacts(options).size(), 15u);
    for (const RecallText& text : TextsOf(options)) {
      for (const RecallCase& made : text) {
        if (made.form != RecallForm::kBegun) EXPECT_TRUE(absl::EndsWith(made.message, "\nAnswer:")) << made.message;
      }
    }
    for (size_t i = 10; i < 15; ++i) {
      const RecallCase& made = separate[i];
      EXPECT_EQ(made.form, RecallForm::kBegun);
      EXPECT_EQ(made.facts, separate[i - 10].facts);
      EXPECT_EQ(made.answers, separate[i - 10].answers);
      // The fact's sentence as far as its answer, and nothing behind it.
      EXPECT_EQ(made.question.end, made.message.size());
      const absl::string_view fact = Slice(made, made.facts[0]), begun = Slice(made, made.question);
      EXPECT_TRUE(absl::StartsWith(fact, absl::StrCat(begun, " ", made.answers[0]))) << begun;
    }
  }
}

TEST(RecallCasesTest, TheQuestionStandsFirstWhereItShould) {
  const std::vector<std::string> filler = Filler();
  const RecallText text = MakeQuestionFirst(Options(filler, 1));
  ASSERT_EQ(text.size(), 1u);
  EXPECT_EQ(text[0].question.begin, 0u);
  EXPECT_LT(text[0].question.end, text[0].facts[0].begin);
}

TEST(RecallCasesTest, LengthIsAsAskedAndSmallTextsStillHoldTheFacts) {
  const std::vector<std::string> filler = Filler();
  for (size_t tokens : {300, 500, 1000, 4000}) {
    for (const RecallText& text : TextsOf(Options(filler, 3, tokens))) {
      EXPECT_NEAR(Words(text[0].message) + 30.0, tokens, 20) << RecallFormName(text[0].form);
    }
  }
  for (const RecallText& text : TextsOf(Options(filler, 3, 1))) EXPECT_FALSE(text[0].facts.empty());
}

TEST(RecallCasesTest, FactsSpreadOverTheWholeText) {
  const std::vector<std::string> filler = Filler();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<int> parts(5, 0);
    for (const RecallCase& made : MakeSeparateFacts(Options(filler, seed, 4000))) {
      if (made.form == RecallForm::kSingle) ++parts[made.facts[0].begin * 5 / made.question.begin];
    }
    for (int part : parts) EXPECT_LE(part, 2);
  }
}

TEST(RecallCasesTest, TheSameSeedGivesTheSameBytesAndAnotherOthers) {
  const std::vector<std::string> filler = Filler();
  EXPECT_EQ(MakeSeparateFacts(Options(filler, 7))[0].message, MakeSeparateFacts(Options(filler, 7))[0].message);
  std::set<std::string> messages;
  for (uint64_t seed = 0; seed < 50; ++seed) messages.insert(MakeQuestionFirst(Options(filler, seed))[0].message);
  EXPECT_EQ(messages.size(), 50u);
}

TEST(RecallCasesTest, TheFamiliesAreDisjoint) {
  auto words = [](RecallFamily family) {
    std::set<std::string> all;
    const RecallTemplates& templates = TemplatesOf(family);
    EXPECT_GE(templates.facts.size(), 8u);
    auto add = [&](const std::vector<std::string>& list) {
      EXPECT_GE(list.size(), 8u);
      for (const std::string& word : list) all.insert(word);
    };
    for (const FactKind& kind : templates.facts) {
      add(kind.subjects);
      if (!kind.values.empty()) add(kind.values);
      all.insert({kind.sentence, kind.question});
    }
    for (const std::vector<BlockKind>* blocks : {&templates.tables, &templates.codes}) {
      EXPECT_GE(blocks->size(), 1u);
      for (const BlockKind& kind : *blocks) {
        add(kind.subjects);
        all.insert({kind.head, kind.question});
      }
    }
    all.insert({templates.question_first, templates.question_last, templates.begun, templates.pair});
    return all;
  };
  const std::set<std::string> calibration = words(RecallFamily::kCalibration);
  for (const std::string& word : words(RecallFamily::kEvaluation)) EXPECT_EQ(calibration.count(word), 0u) << word;
}

TEST(ContainsAnswerTest, WholeWordsAndNumbers) {
  EXPECT_TRUE(ContainsAnswer("The number is 4821.", "4821"));
  EXPECT_TRUE(ContainsAnswer("It is 4,821!", "4821"));
  EXPECT_TRUE(ContainsAnswer("it is **bluebird**", "Bluebird"));
  EXPECT_FALSE(ContainsAnswer("It is 48210.", "4821"));
  EXPECT_FALSE(ContainsAnswer("It is 14821.", "4821"));
  EXPECT_TRUE(ContainsAnswer("14821, no: 4821", "4821"));
  EXPECT_FALSE(ContainsAnswer("", "4821"));
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
