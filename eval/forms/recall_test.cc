#include "eval/forms/recall.h"

#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

size_t Words(absl::string_view text) {
  return std::vector<absl::string_view>(absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())).size();
}

std::vector<std::string> Filler() {
  std::vector<std::string> sentences;
  for (int i = 0; i < 60; ++i) sentences.push_back(absl::StrCat("Ordinary words about nothing, part ", i, "."));
  return sentences;
}

TextOptions Options(const std::vector<std::string>& filler, uint64_t seed, size_t tokens = 800) {
  return {.seed = seed, .tokens = tokens, .count_tokens = Words, .filler = filler};
}

const RecallTemplates& Of(RecallFamily family) { return TemplatesOf(family); }
const RecallTemplates& Evaluation() { return TemplatesOf(RecallFamily::kEvaluation); }

const std::string& MessageOf(const Question& question) { return *question.chat.messages[0].content; }

std::vector<std::vector<Question>> TextsOf(RecallFamily family, const TextOptions& options) {
  return {MakeSeparateFacts(Of(family), options), MakeCrowdedFacts(Of(family), options)};
}

TEST(RecallTest, FactsHoldTheAnswersAndStandOnce) {
  const std::vector<std::string> filler = Filler();
  for (RecallFamily family : {RecallFamily::kCalibration, RecallFamily::kEvaluation}) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      for (const std::vector<Question>& text : TextsOf(family, Options(filler, seed))) {
        for (const Question& made : text) {
          const std::string& message = MessageOf(made);
          SCOPED_TRACE(absl::StrCat(made.form, " seed ", seed, "\n", message));
          const std::vector<std::string>& answers = made.check.answers;
          ASSERT_EQ(made.evidence.size(), answers.size());
          ASSERT_EQ(answers.size(), made.form == "several" ? 4u : made.form == "pair" ? 2u : 1u);
          for (size_t i = 0; i < answers.size(); ++i) {
            const absl::string_view fact = made.TextOf(made.evidence[i]);
            EXPECT_TRUE(ContainsAnswer(fact, answers[i])) << fact;
            EXPECT_FALSE(absl::StrContains(fact, "\n"));
            EXPECT_EQ(message.find(std::string(fact)), message.rfind(std::string(fact)));
            EXPECT_FALSE(ContainsAnswer(made.TextOf(made.asked), answers[i]));
          }
          EXPECT_TRUE(absl::StrContains(made.TextOf(made.asked), "?"));
        }
      }
    }
  }
}

TEST(RecallTest, CalibrationAsksInOneAndInTwoQuestionsAlone) {
  const std::vector<std::string> filler = Filler();
  std::map<std::string, int> count;
  for (const std::vector<Question>& text : TextsOf(RecallFamily::kCalibration, Options(filler, 1))) {
    for (const Question& made : text) ++count[made.form];
  }
  EXPECT_EQ(count, (std::map<std::string, int>{{"single", 5}, {"pair", 5}, {"alike", 5}, {"table", 5}, {"code", 5}}));
}

TEST(RecallTest, APlainTextEndsWhereTheAnswerBegins) {
  const std::vector<std::string> filler = Filler();
  for (RecallFamily family : {RecallFamily::kCalibration, RecallFamily::kEvaluation}) {
    TextOptions options = Options(filler, 1);
    options.plain = true;
    std::vector<Question> singles, begun;
    for (const std::vector<Question>& text : TextsOf(family, options)) {
      for (const Question& made : text) {
        if (made.form != "begun") EXPECT_TRUE(absl::EndsWith(MessageOf(made), "\nAnswer:")) << MessageOf(made);
        if (made.form == "begun") begun.push_back(made);
        if (made.form == "single") singles.push_back(made);
      }
    }
    ASSERT_EQ(begun.size(), singles.size());
    for (size_t i = 0; i < begun.size(); ++i) {
      const Question& made = begun[i];
      EXPECT_EQ(made.evidence, singles[i].evidence);
      EXPECT_EQ(made.check.answers, singles[i].check.answers);
      // The fact's sentence as far as its answer, and nothing behind it.
      EXPECT_EQ(made.asked.bytes.end, MessageOf(made).size());
      EXPECT_EQ(absl::StrCat(made.TextOf(made.asked), " ", made.expected), made.TextOf(made.evidence[0]));
      EXPECT_TRUE(absl::StartsWith(made.expected, made.check.answers[0]));
    }
  }
}

TEST(RecallTest, TheQuestionStandsWhereItShould) {
  const std::vector<std::string> filler = Filler();
  const Question first = MakeQuestionFirst(Evaluation(), Options(filler, 1))[0];
  EXPECT_EQ(first.asked.bytes.begin, 0u);
  EXPECT_LT(first.asked.bytes.end, first.evidence[0].bytes.begin);
  const Question middle = MakeQuestionMiddle(Evaluation(), Options(filler, 1))[0];
  EXPECT_GT(middle.asked.bytes.begin, 50u);
  EXPECT_LT(middle.asked.bytes.end, middle.evidence[0].bytes.begin);
  EXPECT_TRUE(absl::EndsWith(MessageOf(middle), "\"\"\"")) << "the quotation ends the message";
}

TEST(RecallTest, FactsSpreadOverTheWholeText) {
  const std::vector<std::string> filler = Filler();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<int> parts(5, 0);
    for (const Question& made : MakeSeparateFacts(Evaluation(), Options(filler, seed, 4000))) {
      if (made.form == "single") ++parts[made.evidence[0].bytes.begin * 5 / made.asked.bytes.begin];
    }
    for (int part : parts) EXPECT_LE(part, 2);
  }
}

TEST(RecallTest, TheFamiliesAreDisjoint) {
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

}  // namespace
}  // namespace kedge
