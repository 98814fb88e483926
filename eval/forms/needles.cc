// Needles: sentences that differ in key and value alone, in filler, or with nothing else around them.
//
// Tested by forms_test.cc.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/lines.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

constexpr char kWords[] = "Some secrets are hidden in this text. Remember them.\n\n{t}\n\nAnswer from the text: {q}";
constexpr int kDigits = 5;

// `count` different ones, of an adjective and a noun.
std::vector<std::string> DrawKeys(size_t count, Random* random) {
  const size_t nouns = Nouns().size();
  std::vector<std::string> keys;
  for (size_t i : random->Order(Adjectives().size() * nouns)) {
    if (keys.size() == count) break;
    keys.push_back(absl::StrCat(Adjectives()[i / nouns], " ", Nouns()[i % nouns]));
  }
  return keys;
}

struct Needle {
  std::string key;
  std::string value;
  std::string what = "number";
  std::string Sentence() const { return absl::StrCat("The secret ", what, " of the ", key, " is ", value, "."); }
  std::string Question() const { return absl::StrCat("What is the secret ", what, " of the ", key, "?"); }
};

Ask AskFor(const char* form, const Needle& needle, ByteRange evidence) {
  return {.form = form,
          .question = needle.Question(),
          .evidence = {evidence},
          .check = {.answers = {needle.value}},
          .expected = needle.Sentence()};
}

}  // namespace

std::vector<Question> MakeNeedles(const TextOptions& options) {
  constexpr size_t kNumbers = 6, kWordsAsked = 2, kUuids = 2, kSets = 2, kValues = 4;
  Random random(options.seed);
  const std::vector<std::string> keys = DrawKeys(kNumbers + kWordsAsked + kUuids + kSets, &random);
  const std::vector<std::string> numbers = DrawNumbers(kDigits, kNumbers + kSets * kValues, &random);
  const std::vector<std::string> words = Draw(RareNouns(), kWordsAsked, &random);
  size_t key = 0;
  std::vector<Needle> needles;
  for (size_t i = 0; i < kNumbers; ++i) needles.push_back({keys[key++], numbers[i]});
  for (const std::string& word : words) needles.push_back({keys[key++], word, "word"});
  for (size_t i = 0; i < kUuids; ++i) needles.push_back({keys[key++], DrawUuid(&random), "UUID"});
  std::vector<Plant> plants;
  for (const Needle& needle : needles) plants.push_back(SentencePlant(needle.Sentence()));
  const size_t first_of_sets = plants.size();
  for (size_t i = 0; i < kSets * kValues; ++i) {
    plants.push_back(SentencePlant(absl::StrCat("One of the secret numbers of the ", keys[key + i / kValues], " is ",
                                                numbers[kNumbers + i], ".")));
  }

  const size_t tokens = TokensForText(options, kWords, needles[0].Question());
  const Haystack text = HideInFiller(plants, {.tokens = tokens, .avoid = words}, options, &random);
  const auto place = [&](size_t plant) { return text.facts[plant][0]; };
  std::vector<Ask> asks;
  for (size_t i : {0, 3}) asks.push_back(AskFor("needle-number", needles[i], place(i)));
  for (size_t i = kNumbers; i < kNumbers + kWordsAsked; ++i) {
    asks.push_back(AskFor("needle-word", needles[i], place(i)));
  }
  for (size_t i = kNumbers + kWordsAsked; i < needles.size(); ++i) {
    asks.push_back(AskFor("needle-uuid", needles[i], place(i)));
  }
  for (size_t first : {1, 2}) {
    Ask ask{.form = "multi-query"};
    std::vector<std::string> asked;
    for (size_t i = first; i < first + 4; ++i) {
      asked.push_back(absl::StrCat("the ", needles[i].key));
      ask.evidence.push_back(place(i));
      ask.check.answers.push_back(needles[i].value);
      absl::StrAppend(&ask.expected, i > first ? " " : "", needles[i].Sentence());
    }
    ask.question = absl::StrCat("What are the secret numbers of ", absl::StrJoin(asked, ", "), "?");
    asks.push_back(std::move(ask));
  }
  for (size_t set = 0; set < kSets; ++set) {
    Ask ask{.form = "multi-value",
            .question = absl::StrCat("What are all the secret numbers of the ", keys[key + set], "?")};
    for (size_t i = 0; i < kValues; ++i) {
      ask.evidence.push_back(place(first_of_sets + set * kValues + i));
      ask.check.answers.push_back(numbers[kNumbers + set * kValues + i]);
    }
    ask.expected = absl::StrCat("The secret numbers of the ", keys[key + set], " are ",
                                absl::StrJoin(ask.check.answers, ", "), ".");
    asks.push_back(std::move(ask));
  }
  return AskAll(kWords, text.text, asks, options);
}

std::vector<Question> MakeAllNeedles(const TextOptions& options) {
  constexpr size_t kAsked = 5;
  Random random(options.seed);
  const Needle sample{"quiet lantern", "12345"};
  const size_t tokens = TokensForText(options, kWords, sample.Question());
  const size_t count = LinesFor(sample.Sentence(), tokens, kAsked, options);
  const std::vector<std::string> keys = DrawKeys(count, &random);
  const std::vector<std::string> numbers = DrawNumbers(kDigits, keys.size(), &random);
  std::vector<std::string> lines;
  for (size_t i = 0; i < keys.size(); ++i) lines.push_back(Needle{keys[i], numbers[i]}.Sentence());
  const Lines text = JoinLines(lines);
  std::vector<Ask> asks;
  for (size_t i : OneOfEachPart(kAsked, lines.size(), &random)) {
    asks.push_back(AskFor("all-needles", {keys[i], numbers[i]}, text.lines[i]));
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace kedge
