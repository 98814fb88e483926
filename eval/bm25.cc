// Tested by bm25_test.cc.
#include "eval/bm25.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "absl/strings/ascii.h"

namespace kedge {
namespace {

constexpr double kK1 = 1.2, kB = 0.75;

}  // namespace

std::vector<std::string> WordsOf(absl::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;  // of ASCII
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char byte = text[i];
    if (absl::ascii_isalnum(byte) || byte == '_') {
      if (!in_word) words.emplace_back();
      words.back().push_back(absl::ascii_tolower(byte));
      in_word = true;
      continue;
    }
    in_word = false;
    if (byte < 0x80) continue;
    const bool is_first = (byte & 0xc0) == 0xc0;  // of its character
    if (is_first || words.empty()) words.emplace_back();
    words.back().push_back(static_cast<char>(byte));
  }
  return words;
}

std::vector<size_t> RankByBm25(absl::Span<const std::string> texts, absl::string_view query) {
  std::vector<std::map<std::string, double>> counts(texts.size());
  std::map<std::string, double> containing;
  std::vector<double> lengths(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const std::string& word : WordsOf(texts[i])) ++counts[i][word], ++lengths[i];
    for (const auto& [word, count] : counts[i]) ++containing[word];
  }
  const double number = static_cast<double>(texts.size());
  const double mean = std::accumulate(lengths.begin(), lengths.end(), 0.0) / std::max(number, 1.0);
  const std::vector<std::string> all = WordsOf(query);
  std::vector<double> scores(texts.size());
  for (const std::string& word : std::set<std::string>(all.begin(), all.end())) {
    const double idf = std::log(1 + (number - containing[word] + 0.5) / (containing[word] + 0.5));
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto count = counts[i].find(word);
      if (count == counts[i].end()) continue;
      scores[i] += idf * count->second * (kK1 + 1) / (count->second + kK1 * (1 - kB + kB * lengths[i] / mean));
    }
  }
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  return order;
}

}  // namespace kedge
