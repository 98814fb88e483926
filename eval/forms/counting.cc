// Lists of words, some of which stand in them far more often than the others: nothing but counting finds them.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "eval/forms/frame.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

constexpr char kWords[] = "Here are four lists of words.\n\n{t}\n\nCount, and answer: {q}";
constexpr size_t kWordsOfALine = 10;

// Which words stand in a list, and that the i-th of `frequent` is one in shares[i] of all.
struct ListKind {
  std::vector<std::string> frequent;
  std::vector<std::string> others;
  std::vector<size_t> shares;
};

ListKind KindOf(std::vector<std::string> words, std::vector<size_t> shares) {
  const auto end = words.begin() + shares.size();
  return {{words.begin(), end}, {end, words.end()}, std::move(shares)};
}

// Appends the list; returns where its frequent words stand.
std::vector<ByteRange> AppendList(const ListKind& kind, size_t words, std::string* text, Random* random) {
  std::vector<std::string> list;
  for (size_t i = 0; i < kind.frequent.size(); ++i) {
    // Each at least three times, more than any other word of a short list.
    list.insert(list.end(), std::max<size_t>(3, words / kind.shares[i]), kind.frequent[i]);
  }
  for (size_t i = 0; list.size() < words; ++i) list.push_back(kind.others[i % kind.others.size()]);
  std::vector<ByteRange> places;
  const std::vector<size_t> order = random->Order(list.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const std::string& word = list[order[i]];
    if (i > 0) absl::StrAppend(text, i % kWordsOfALine == 0 ? "\n" : " ");
    if (std::find(kind.frequent.begin(), kind.frequent.end(), word) != kind.frequent.end()) {
      places.push_back({text->size(), text->size() + word.size()});
    }
    absl::StrAppend(text, word);
  }
  return places;
}

// Different words that no language has.
std::vector<std::string> CodedWords(size_t count, Random* random) {
  std::vector<std::string> words;
  while (words.size() < count) {
    std::string word = absl::StrCat(DrawLetters("bdfgk", 1, random), DrawLetters("aou", 1, random),
                                    DrawLetters("vxzj", 1, random), DrawLetters("aeiu", 1, random));
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

std::vector<Question> MakeCounting(const TextOptions& options) {
  constexpr size_t kLists = 4, kHeading = 8;  // its tokens, about
  const std::vector<size_t> kCommon = {12, 12, 12, 12}, kFrequent = {6, 8, 10};
  const char* const kOrdinals[] = {"first", "second", "third", "fourth"};
  Random random(options.seed);
  const std::vector<std::string> nouns = Draw(Nouns(), Nouns().size(), &random);
  const std::vector<std::string> adjectives = Draw(Adjectives(), Adjectives().size(), &random);
  const std::vector<std::string> coded = CodedWords(48, &random);
  const ListKind kinds[kLists] = {KindOf(nouns, kCommon), KindOf(adjectives, kCommon),
                                  KindOf({coded.begin(), coded.begin() + 24}, kFrequent),
                                  KindOf({coded.begin() + 24, coded.end()}, kFrequent)};
  std::vector<Ask> asks;
  for (size_t i = 0; i < kLists; ++i) {
    Ask ask{.form = i < 2 ? "common-words" : "frequent-words",
            .question = absl::StrCat("which ", kinds[i].frequent.size(), " words are the most frequent in the ",
                                     kOrdinals[i], " list?"),
            .check = {.answers = kinds[i].frequent},
            .expected = absl::StrCat(absl::StrJoin(kinds[i].frequent, ", "), ".")};
    asks.push_back(std::move(ask));
  }
  const size_t tokens = TokensForText(options, kWords, asks[0].question, /*more=*/kLists * kHeading);
  std::string text;
  for (size_t i = 0; i < kLists; ++i) {
    const std::string all =
        absl::StrCat(absl::StrJoin(kinds[i].frequent, " "), " ", absl::StrJoin(kinds[i].others, " "));
    const size_t different = kinds[i].frequent.size() + kinds[i].others.size();
    const size_t words = different * (tokens / kLists) / (options.count_tokens(all) + different / kWordsOfALine);
    absl::StrAppend(&text, i > 0 ? "\n\n" : "", "The ", kOrdinals[i], " list:\n");
    asks[i].evidence = AppendList(kinds[i], words, &text, &random);
  }
  return AskAll(kWords, text, asks, options);
}

}  // namespace kedge
