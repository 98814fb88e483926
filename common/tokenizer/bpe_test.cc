#include "common/tokenizer/bpe.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <utility>

#include <gtest/gtest.h>

namespace kedge {
namespace {

struct MergeRule {
  uint32_t left, right, product;
};

std::vector<uint32_t> Apply(const std::vector<MergeRule>& rules, const std::vector<uint32_t>& word) {
  BpeMerges merges;
  for (const MergeRule& rule : rules) merges.Add(rule.left, rule.right, rule.product);
  std::vector<uint32_t> out;
  merges.Apply(word, &out);
  return out;
}

// The definition: again and again the pair of lowest rank, leftmost of equal ones.
std::vector<uint32_t> ApplySlowly(const std::vector<MergeRule>& rules, std::vector<uint32_t> word) {
  while (true) {
    size_t best_rank = rules.size();
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (rules[rank].left == word[i] && rules[rank].right == word[i + 1]) {
          best_rank = rank;
          best_at = i;
        }
      }
    }
    if (best_rank == rules.size()) return word;
    word[best_at] = rules[best_rank].product;
    word.erase(word.begin() + best_at + 1);
  }
}

TEST(BpeTest, MergesByRankAndFromTheLeft) {
  const std::vector<MergeRule> rules = {{1, 2, 10}, {10, 3, 11}, {2, 3, 12}};
  EXPECT_EQ(Apply(rules, {}), (std::vector<uint32_t>{}));
  EXPECT_EQ(Apply(rules, {1}), (std::vector<uint32_t>{1}));
  EXPECT_EQ(Apply(rules, {1, 2, 3}), (std::vector<uint32_t>{11}));
  EXPECT_EQ(Apply(rules, {2, 3, 1, 2}), (std::vector<uint32_t>{12, 10}));
  EXPECT_EQ(Apply({{1, 1, 5}}, {1, 1, 1}), (std::vector<uint32_t>{5, 1}));
  EXPECT_EQ(Apply({{1, 1, 5}, {5, 5, 6}}, {1, 1, 1, 1, 1}), (std::vector<uint32_t>{6, 1}));
}

TEST(BpeTest, FirstOfTwoEqualPairsCounts) {
  EXPECT_EQ(Apply({{1, 2, 10}, {1, 2, 11}}, {1, 2}), (std::vector<uint32_t>{10}));
}

TEST(BpeTest, AppendsToWhatIsThere) {
  BpeMerges merges;
  std::vector<uint32_t> out = {7};
  merges.Apply({1, 2}, &out);
  EXPECT_EQ(out, (std::vector<uint32_t>{7, 1, 2}));
}

TEST(BpeTest, EqualsTheDefinitionOnRandomRules) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const uint32_t alphabet = 2 + random() % 3;
    std::vector<MergeRule> rules;
    std::map<std::pair<uint32_t, uint32_t>, bool> seen;
    for (uint32_t product = alphabet; product < alphabet + 30; ++product) {
      const uint32_t left = random() % product;
      const uint32_t right = random() % product;
      if (seen.emplace(std::make_pair(left, right), true).second) rules.push_back({left, right, product});
    }
    // A later rule can have products of earlier rank order: ranks need not follow how products are built.
    std::shuffle(rules.begin(), rules.end(), random);
    std::vector<uint32_t> word(random() % 60);
    for (uint32_t& id : word) id = random() % alphabet;
    EXPECT_EQ(Apply(rules, word), ApplySlowly(rules, word));
  }
}

TEST(BpeTest, LongWordTakesNoQuadraticTime) {
  BpeMerges merges;
  for (uint32_t i = 0; i < 16; ++i) merges.Add(i, i, i + 1);
  const std::vector<uint32_t> word(1 << 20, 0);
  std::vector<uint32_t> out;
  const auto begin = std::chrono::steady_clock::now();
  merges.Apply(word, &out);
  // Well under a second; a quadratic way takes hours.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(out, std::vector<uint32_t>(16, 16));
}

}  // namespace
}  // namespace kedge
