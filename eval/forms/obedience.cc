// What the system message demands of every answer, with a long text between it and the answer.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/makers.h"
#include "eval/forms/recall.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

// Puts a system message before all others; it is needed for the answer.
void Demand(const std::string& demand, Question* question) {
  ++question->asked.message;
  for (Passage& passage : question->evidence) ++passage.message;
  question->evidence.insert(question->evidence.begin(), {.message = 0, .bytes = {0, demand.size()}});
  question->chat.messages.insert(question->chat.messages.begin(), {.role = "system", .content = demand});
}

// Questions for single facts under a demand.
std::vector<Question> AskUnder(const std::string& demand, const char* form, const TextOptions& options) {
  TextOptions rest = options;
  rest.tokens -= std::min(rest.tokens, options.count_tokens(demand));
  std::vector<Question> questions;
  for (Question& question : MakeSeparateFacts(TemplatesOf(RecallFamily::kEvaluation), rest)) {
    if (question.form != "single") continue;
    question.form = form;
    Demand(demand, &question);
    questions.push_back(std::move(question));
  }
  return questions;
}

}  // namespace

std::vector<Question> MakeLastWord(const TextOptions& options) {
  Random random(options.seed);
  const std::string word = Draw(RareNouns(), 1, &random).front();
  std::vector<Question> questions =
      AskUnder(absl::StrCat("End every answer with the word ", word, "."), "system-word", options);
  for (Question& question : questions) {
    question.check.last_word = word;
    absl::StrAppend(&question.expected, " ", word);
  }
  return questions;
}

std::vector<Question> MakeJsonAlone(const TextOptions& options) {
  std::vector<Question> questions = AskUnder(
      "Answer with a JSON object that has the one key \"answer\", and write nothing else.", "system-json", options);
  for (Question& question : questions) {
    question.check.json = true;
    question.expected = absl::StrCat("{\"answer\": \"", question.check.answers[0], "\"}");
  }
  return questions;
}

std::vector<Question> MakeNeverSay(const TextOptions& options) {
  constexpr char kDemand[] =
      "Names of people are secret: never write one in an answer. Write REDACTED in the place of each.";
  constexpr char kWords[] = "Here is a text.\n\n{t}\n\nAnswer from the text: {q}";
  constexpr size_t kFacts = 4;
  Random random(options.seed);
  const std::vector<std::string> first = Draw(FirstNames(), kFacts, &random);
  const std::vector<std::string> family = Draw(FamilyNames(), kFacts, &random);
  const std::vector<std::string> things = Draw(Nouns(), kFacts, &random);
  const std::vector<std::string> prices = DrawNumbers(4, kFacts, &random);
  std::vector<Plant> plants;
  std::vector<Ask> asks;
  for (size_t i = 0; i < kFacts; ++i) {
    const std::string paid = absl::StrCat(" paid ", prices[i], " crowns for the ", things[i], ".");
    plants.push_back(SentencePlant(absl::StrCat(first[i], " ", family[i], paid)));
    asks.push_back({.form = "system-never",
                    .question = absl::StrCat("Who paid for the ", things[i], ", and how many crowns?"),
                    .check = {.answers = {prices[i], "REDACTED"}, .forbidden = {first[i], family[i]}},
                    .expected = absl::StrCat("REDACTED", paid)});
  }
  const size_t tokens = TokensForText(options, kWords, asks[0].question, options.count_tokens(kDemand));
  const Haystack text = HideInFiller(plants, {.tokens = tokens, .avoid = prices}, options, &random);
  for (size_t i = 0; i < kFacts; ++i) asks[i].evidence = text.facts[i];
  std::vector<Question> questions = AskAll(kWords, text.text, asks, options);
  for (Question& question : questions) Demand(kDemand, &question);
  return questions;
}

}  // namespace kedge
