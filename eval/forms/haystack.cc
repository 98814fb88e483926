// Tested by haystack_test.cc.
#include "eval/forms/haystack.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"

namespace kedge {
namespace {

constexpr size_t kSentencesOfAParagraph = 6;

bool HasOneOf(const std::string& sentence, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return ContainsAnswer(sentence, word); });
}

std::vector<absl::string_view> TakeFiller(size_t tokens, const std::vector<std::string>& avoid, const TextOptions& text,
                                          Random* random) {
  KEDGE_CHECK(!text.filler.empty());
  std::vector<absl::string_view> sentences;
  size_t next = random->Below(text.filler.size()), avoided = 0;
  for (size_t have = 0; have < tokens; next = (next + 1) % text.filler.size()) {
    const std::string& sentence = text.filler[next];
    if (HasOneOf(sentence, avoid)) {
      if (++avoided == text.filler.size()) break;  // all of it
      continue;
    }
    avoided = 0;
    sentences.push_back(sentence);
    have += std::max<size_t>(1, text.count_tokens(absl::StrCat(" ", sentence)));
  }
  return sentences;
}

}  // namespace

Plant SentencePlant(std::string sentence) {
  const size_t size = sentence.size();
  return {.text = std::move(sentence), .facts = {{0, size}}};
}

Haystack HideInFiller(const std::vector<Plant>& plants, const HaystackOptions& options, const TextOptions& text,
                      Random* random) {
  size_t tokens = options.tokens;
  for (const Plant& plant : plants) tokens -= std::min(tokens, text.count_tokens(plant.text));
  const std::vector<absl::string_view> sentences = TakeFiller(tokens, options.avoid, text, random);

  // Plant i of a shuffled order comes before sentence place[i], which lies in the i-th of equal parts.
  std::vector<size_t> order = random->Order(plants.size());
  if (options.keep_order) std::sort(order.begin(), order.end());
  std::vector<size_t> places;
  for (size_t i = 0; i < plants.size(); ++i) {
    const size_t begin = i * sentences.size() / plants.size(), end = (i + 1) * sentences.size() / plants.size();
    places.push_back(begin + (end > begin ? random->Below(end - begin) : 0));
  }
  Haystack made{.facts = std::vector<std::vector<ByteRange>>(plants.size())};
  size_t in_paragraph = 0;
  auto separate = [&](bool new_paragraph) {
    if (new_paragraph || in_paragraph == kSentencesOfAParagraph) in_paragraph = 0;
    if (!made.text.empty()) absl::StrAppend(&made.text, in_paragraph == 0 ? "\n\n" : options.gap);
    ++in_paragraph;
  };
  for (size_t sentence = 0, i = 0; sentence < sentences.size() || i < plants.size(); ++sentence) {
    for (; i < plants.size() && (places[i] <= sentence || sentence >= sentences.size()); ++i) {
      const Plant& plant = plants[order[i]];
      separate(plant.is_block);
      for (const ByteRange& fact : plant.facts) {
        made.facts[order[i]].push_back({made.text.size() + fact.begin, made.text.size() + fact.end});
      }
      absl::StrAppend(&made.text, plant.text);
      if (plant.is_block) in_paragraph = kSentencesOfAParagraph;  // what follows begins a paragraph
    }
    if (sentence < sentences.size()) {
      separate(false);
      absl::StrAppend(&made.text, sentences[sentence]);
    }
  }
  return made;
}

std::vector<std::string> FillerSentences(absl::string_view text) {
  constexpr size_t kShortest = 20, kLongest = 400;
  std::vector<std::string> sentences;
  auto take = [&](absl::string_view sentence) {
    const bool whole = !sentence.empty() && absl::ascii_isupper(sentence.front()) &&
                       absl::StrContains(".?!", sentence.substr(sentence.size() - 1));
    if (whole && sentence.size() >= kShortest && sentence.size() <= kLongest) sentences.emplace_back(sentence);
  };
  for (absl::string_view paragraph : absl::StrSplit(text, "\n\n")) {
    if (absl::StartsWith(paragraph, " ") || absl::StrContains(paragraph, ">>>")) continue;  // code
    std::string line(paragraph);
    absl::RemoveExtraAsciiWhitespace(&line);
    size_t begin = 0;
    for (size_t i = 0; i + 2 < line.size(); ++i) {
      if (absl::StrContains(".?!", line.substr(i, 1)) && line[i + 1] == ' ' && absl::ascii_isupper(line[i + 2])) {
        take(absl::string_view(line).substr(begin, i + 1 - begin));
        begin = i + 2;
      }
    }
    take(absl::string_view(line).substr(begin));
  }
  return sentences;
}

}  // namespace kedge
