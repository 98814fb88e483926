// Questions over several documents: what one of them says, and what follows from two.
//
// Tested by forms_test.cc.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {

std::vector<Question> MakeDocuments(const TextOptions& options) {
  constexpr char kWords[] = "Here are some documents.\n\n{t}\n\nAnswer from the documents: {q}";
  constexpr size_t kPeople = 3, kDocuments = 2 * kPeople;
  constexpr size_t kAround = 20;  // tokens of a heading, and by which filler is longer than it should be
  Random random(options.seed);
  const std::vector<std::string> first = Draw(FirstNames(), kPeople, &random);
  const std::vector<std::string> family = Draw(FamilyNames(), kDocuments, &random);
  const std::vector<std::string> towns = Draw(Towns(), kPeople, &random);
  // Fact 2i: where somebody works; 2i + 1: where that is.
  std::vector<std::string> facts;
  std::vector<Ask> asks;
  for (size_t i = 0; i < kPeople; ++i) {
    const std::string person = absl::StrCat(first[i], " ", family[i]), institute = family[kPeople + i];
    facts.push_back(absl::StrCat(person, " works at the ", institute, " Institute."));
    facts.push_back(absl::StrCat("The ", institute, " Institute has its seat in ", towns[i], "."));
    asks.push_back({.form = "documents",
                    .question = absl::StrCat("At which institute does ", person, " work?"),
                    .check = {.answers = {institute}},
                    .expected = facts[2 * i]});
    asks.push_back({.form = "two-hop",
                    .question = absl::StrCat("In which town is the institute at which ", person, " works?"),
                    .check = {.answers = {towns[i]}},
                    .expected = absl::StrCat("The institute is in ", towns[i], ".")});
  }
  std::vector<std::string> avoid = family;
  avoid.insert(avoid.end(), towns.begin(), towns.end());

  std::string text;
  std::vector<ByteRange> places(facts.size());
  const size_t tokens = TokensForText(options, kWords, asks[1].question, /*more=*/kDocuments * kAround) / kDocuments;
  size_t number = 0;
  for (size_t fact : random.Order(facts.size())) {
    absl::StrAppend(&text, number > 0 ? "\n\n" : "", "Document ", number + 1, "\n\n");
    ++number;
    const Haystack document =
        HideInFiller({SentencePlant(facts[fact])}, {.tokens = tokens, .avoid = avoid}, options, &random);
    const ByteRange place = document.facts[0][0];
    places[fact] = {text.size() + place.begin, text.size() + place.end};
    absl::StrAppend(&text, document.text);
  }
  for (size_t i = 0; i < kPeople; ++i) {
    asks[2 * i].evidence = {places[2 * i]};
    asks[2 * i + 1].evidence = {places[2 * i], places[2 * i + 1]};
  }
  return AskAll(kWords, text, asks, options);
}

}  // namespace kedge
