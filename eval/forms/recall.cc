// Tested by recall_test.cc, with all other forms by forms_test.cc.
#include "eval/forms/recall.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

constexpr size_t kFactsOfAText = 5;
constexpr size_t kSeveral = 4;  // facts asked for in one question

// `count` different values of a kind.
std::vector<std::string> DrawValues(const std::vector<std::string>& values, int digits, size_t count, Random* random) {
  if (values.empty()) return DrawNumbers(digits, count, random);
  const std::vector<size_t> order = random->Order(values.size());
  std::vector<std::string> drawn;
  for (size_t i = 0; i < count; ++i) drawn.push_back(values[order[i]]);
  return drawn;
}

// Five lines, each a fact; appends them to `facts` in the plant's order.
Plant BlockPlant(const BlockKind& kind, Random* random, std::vector<Fact>* facts) {
  const std::vector<size_t> subjects = random->Order(kind.subjects.size());
  const std::vector<size_t> others = random->Order(kind.others.size());
  const std::vector<std::string> values = DrawValues({}, kind.digits, kFactsOfAText, random);
  Plant plant{.text = kind.head, .is_block = true};
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    const std::string& subject = kind.subjects[subjects[i]];
    const std::string& other = kind.others[others[i % others.size()]];
    const std::string line = absl::StrReplaceAll(kind.line, {{"{s}", subject}, {"{v}", values[i]}, {"{o}", other}});
    plant.facts.push_back({plant.text.size(), plant.text.size() + line.size() - 1});  // without the line feed
    absl::StrAppend(&plant.text, line);
    facts->push_back({.text = absl::StrCat(values[i], "."),
                      .question = absl::StrReplaceAll(kind.question, {{"{s}", subject}}),
                      .answer = values[i]});
  }
  absl::StrAppend(&plant.text, kind.tail);
  plant.text.pop_back();  // its last line feed: empty lines stand around a block
  return plant;
}

Ask AskFor(const char* form, const Fact& fact, std::vector<ByteRange> evidence) {
  return {.form = form,
          .question = fact.question,
          .evidence = std::move(evidence),
          .check = {.answers = {fact.answer}},
          .expected = fact.text};
}

std::vector<std::string> AnswersOf(const std::vector<Fact>& facts) {
  std::vector<std::string> answers;
  for (const Fact& fact : facts) answers.push_back(fact.answer);
  return answers;
}

std::vector<Question> AskAlone(const char* form, const std::string& words, const RecallTemplates& templates,
                               const TextOptions& options) {
  Random random(options.seed);
  const Fact fact = DrawFacts(templates.facts[random.Below(templates.facts.size())], 1, &random).front();
  const Haystack text =
      HideInFiller({SentencePlant(fact.text)},
                   {.tokens = TokensForText(options, words, fact.question), .avoid = {fact.answer}}, options, &random);
  return AskAll(words, text.text, {AskFor(form, fact, text.facts[0])}, options);
}

}  // namespace

std::vector<Fact> DrawFacts(const FactKind& kind, size_t count, Random* random) {
  const std::vector<size_t> subjects = random->Order(kind.subjects.size());
  const std::vector<std::string> values = DrawValues(kind.values, kind.digits, count, random);
  std::vector<Fact> facts;
  for (size_t i = 0; i < count; ++i) {
    const std::string& subject = kind.subjects[subjects[i]];
    const absl::string_view begun =
        absl::StripTrailingAsciiWhitespace(absl::string_view(kind.sentence).substr(0, kind.sentence.find("{v}")));
    facts.push_back({.text = absl::StrReplaceAll(kind.sentence, {{"{s}", subject}, {"{v}", values[i]}}),
                     .question = absl::StrReplaceAll(kind.question, {{"{s}", subject}}),
                     .begun = absl::StrReplaceAll(begun, {{"{s}", subject}}),
                     .answer = values[i]});
  }
  return facts;
}

std::vector<Question> MakeSeparateFacts(const RecallTemplates& templates, const TextOptions& options) {
  Random random(options.seed);
  const std::vector<size_t> kinds = random.Order(templates.facts.size());
  std::vector<Fact> facts;
  std::vector<Plant> plants;
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    facts.push_back(DrawFacts(templates.facts[kinds[i]], 1, &random).front());
    plants.push_back(SentencePlant(facts.back().text));
  }
  const std::string& words = templates.question_last;
  const Haystack text =
      HideInFiller(plants, {.tokens = TokensForText(options, words, facts[0].question), .avoid = AnswersOf(facts)},
                   options, &random);

  std::vector<Ask> asks;
  for (size_t i = 0; i < kFactsOfAText; ++i) asks.push_back(AskFor("single", facts[i], text.facts[i]));
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    const size_t j = (i + 1) % kFactsOfAText;
    asks.push_back(
        {.form = "pair",
         .question = absl::StrReplaceAll(templates.pair, {{"{a}", facts[i].question}, {"{b}", facts[j].question}}),
         .evidence = {text.facts[i][0], text.facts[j][0]},
         .check = {.answers = {facts[i].answer, facts[j].answer}},
         .expected = absl::StrCat(facts[i].text, " ", facts[j].text)});
  }
  for (size_t left_out = 0; !templates.several.empty() && left_out < kFactsOfAText; ++left_out) {
    Ask ask{.form = "several", .question = templates.several};
    for (size_t i = 1; i <= kSeveral; ++i) {
      const size_t j = (left_out + i) % kFactsOfAText;
      absl::StrAppend(&ask.question, "\n", i, ". ", facts[j].question);
      absl::StrAppend(&ask.expected, i > 1 ? "\n" : "", i, ". ", facts[j].text);
      ask.evidence.push_back(text.facts[j][0]);
      ask.check.answers.push_back(facts[j].answer);
    }
    asks.push_back(std::move(ask));
  }
  std::vector<Question> questions = AskAll(words, text.text, asks, options);
  for (size_t i = 0; options.plain && i < kFactsOfAText; ++i) {
    Ask ask = AskFor("begun", facts[i], text.facts[i]);
    ask.question = facts[i].begun;
    ask.expected =
        std::string(absl::StripLeadingAsciiWhitespace(absl::string_view(facts[i].text).substr(facts[i].begun.size())));
    questions.push_back(AskInFrame({.words = templates.begun}, text.text, ask));
  }
  return questions;
}

std::vector<Question> MakeCrowdedFacts(const RecallTemplates& templates, const TextOptions& options) {
  Random random(options.seed);
  std::vector<Fact> alike = DrawFacts(templates.facts[random.Below(templates.facts.size())], kFactsOfAText, &random);
  std::vector<Plant> plants;
  for (const Fact& fact : alike) plants.push_back(SentencePlant(fact.text));
  std::vector<Fact> rows, lines;
  plants.push_back(BlockPlant(templates.tables[random.Below(templates.tables.size())], &random, &rows));
  plants.push_back(BlockPlant(templates.codes[random.Below(templates.codes.size())], &random, &lines));
  const std::string& words = templates.question_last;
  const Haystack text =
      HideInFiller(plants, {.tokens = TokensForText(options, words, alike[0].question), .avoid = AnswersOf(alike)},
                   options, &random);
  std::vector<Ask> asks;
  for (size_t i = 0; i < kFactsOfAText; ++i) asks.push_back(AskFor("alike", alike[i], text.facts[i]));
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    asks.push_back(AskFor("table", rows[i], {text.facts[kFactsOfAText][i]}));
  }
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    asks.push_back(AskFor("code", lines[i], {text.facts[kFactsOfAText + 1][i]}));
  }
  return AskAll(words, text.text, asks, options);
}

std::vector<Question> MakeQuestionFirst(const RecallTemplates& templates, const TextOptions& options) {
  return AskAlone("question-first", templates.question_first, templates, options);
}

std::vector<Question> MakeQuestionMiddle(const RecallTemplates& templates, const TextOptions& options) {
  return AskAlone("question-middle", templates.question_middle, templates, options);
}

}  // namespace kedge
