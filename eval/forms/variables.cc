// Variable tracking: chains of assignments, of which the question names the value alone.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {

std::vector<Question> MakeVariables(const TextOptions& options) {
  constexpr char kWords[] = "Variables get their values in this text.\n\n{t}\n\nAnswer from the text: {q}";
  constexpr size_t kChains = 4, kVariables = 4;
  Random random(options.seed);
  const std::vector<std::string> values = DrawNumbers(5, kChains, &random);
  std::vector<std::string> names;
  while (names.size() < kChains * kVariables) {
    std::string name = DrawLetters("BCDFGHJKLMNPQRSTVWXZ", 5, &random);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  // Variable i of a chain stands behind all variables i - 1: each is set before it is used.
  std::vector<Plant> plants;
  for (size_t i = 0; i < kVariables; ++i) {
    for (size_t chain = 0; chain < kChains; ++chain) {
      const std::string& name = names[chain * kVariables + i];
      plants.push_back(
          SentencePlant(i == 0 ? absl::StrCat("VAR ", name, " = ", values[chain], ".")
                               : absl::StrCat("VAR ", name, " = VAR ", names[chain * kVariables + i - 1], ".")));
    }
  }
  std::vector<Ask> asks;
  for (size_t chain = 0; chain < kChains; ++chain) {
    Ask ask{.form = "variables",
            .question = absl::StrCat("Which ", kVariables, " variables have the value ", values[chain],
                                     ", set directly or by way of another variable?")};
    for (size_t i = 0; i < kVariables; ++i) ask.check.answers.push_back(names[chain * kVariables + i]);
    ask.expected = absl::StrCat(absl::StrJoin(ask.check.answers, ", "), ".");
    asks.push_back(std::move(ask));
  }
  const size_t tokens = TokensForText(options, kWords, asks[0].question);
  const Haystack text = HideInFiller(plants, {.tokens = tokens, .keep_order = true}, options, &random);
  for (size_t chain = 0; chain < kChains; ++chain) {
    for (size_t i = 0; i < kVariables; ++i) asks[chain].evidence.push_back(text.facts[i * kChains + chain][0]);
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace kedge
