// A second question that names nothing: what it is about, the turn before says, and the answer stands before that.
//
// Tested by forms_test.cc.
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

// `{n}`: first or second.
struct Series {
  const char* sentence;  // `{v}` last: somebody's name
  const char* question;
};
constexpr Series kSeries[] = {
    {"The {n} prize of the flower show went to {v}.", "Who got the {n} prize of the flower show?"},
    {"The {n} violin of the town orchestra is played by {v}.", "Who plays the {n} violin of the town orchestra?"},
    {"The {n} speech of the evening was given by {v}.", "Who gave the {n} speech of the evening?"},
    {"The {n} key to the vault is kept by {v}.", "Who keeps the {n} key to the vault?"},
    {"The {n} round of the chess cup was won by {v}.", "Who won the {n} round of the chess cup?"},
    {"The {n} chapter of the almanac was written by {v}.", "Who wrote the {n} chapter of the almanac?"}};

}  // namespace

std::vector<Question> MakeFollowUp(const TextOptions& options) {
  constexpr char kWords[] = "Here is a text.\n\n{t}\n\nAnswer from the text: {q}";
  constexpr char kFollowUp[] = "And the second one?";
  constexpr size_t kAsked = 4;
  Random random(options.seed);
  const std::vector<size_t> series = random.Order(std::size(kSeries));
  const std::vector<std::string> first_names = Draw(FirstNames(), 2 * kAsked, &random);
  const std::vector<std::string> family_names = Draw(FamilyNames(), 2 * kAsked, &random);
  std::vector<std::string> sentences;
  for (size_t i = 0; i < 2 * kAsked; ++i) {
    sentences.push_back(absl::StrReplaceAll(
        kSeries[series[i / 2]].sentence,
        {{"{n}", i % 2 == 0 ? "first" : "second"}, {"{v}", absl::StrCat(first_names[i], " ", family_names[i])}}));
  }
  std::vector<Plant> plants;
  for (const std::string& sentence : sentences) plants.push_back(SentencePlant(sentence));
  // The template's words for two more messages as well.
  const size_t more = options.count_tokens(absl::StrCat(sentences[0], kFollowUp)) + 15;
  const size_t tokens = TokensForText(options, kWords, kSeries[0].question, more);
  const Haystack text = HideInFiller(plants, {.tokens = tokens, .avoid = family_names}, options, &random);
  std::vector<Question> questions;
  for (size_t i = 0; i < kAsked; ++i) {
    Ask ask{.form = "follow-up",
            .question = absl::StrReplaceAll(kSeries[series[i]].question, {{"{n}", "first"}}),
            .evidence = {text.facts[2 * i + 1][0]},
            .check = {.answers = {family_names[2 * i + 1]}},
            .expected = sentences[2 * i + 1]};
    Question question = AskInFrame({.words = kWords}, text.text, ask);
    question.chat.messages.push_back({.role = "assistant", .content = sentences[2 * i]});
    question.chat.messages.push_back({.role = "user", .content = kFollowUp});
    question.asked = {.message = 2, .bytes = {0, sizeof(kFollowUp) - 1}};
    questions.push_back(std::move(question));
  }
  return questions;
}

}  // namespace kedge
