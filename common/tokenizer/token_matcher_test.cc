#include "common/tokenizer/token_matcher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

namespace kedge {
namespace {

using Tokens = std::vector<std::pair<std::string, uint32_t>>;

// What is found from left to right, as "begin-end:id" with a space between.
std::string FindAll(const TokenMatcher& matcher, absl::string_view text) {
  std::string all;
  size_t begin = 0;
  while (const auto found = matcher.Find(text, begin)) {
    if (!all.empty()) all += ' ';
    all += std::to_string(found->begin) + "-" + std::to_string(found->end) + ":" + std::to_string(found->id);
    begin = found->end;
  }
  return all;
}

TEST(TokenMatcherTest, TheFirstCountsAndOfThoseThatBeginThereTheLongest) {
  const TokenMatcher matcher(Tokens{{"<b>", 1}, {"<", 2}, {"<b", 3}, {"b>c", 4}, {"\u00e9", 5}});
  EXPECT_EQ(FindAll(matcher, "a<b>c"), "1-4:1");
  EXPECT_EQ(FindAll(matcher, "a<bc<"), "1-3:3 4-5:2");
  EXPECT_EQ(FindAll(matcher, "ab>c<c<b"), "1-4:4 4-5:2 6-8:3");
  EXPECT_EQ(FindAll(matcher, "e\u00e9\u00e8"), "1-3:5");
  EXPECT_EQ(FindAll(matcher, ""), "");
  EXPECT_EQ(matcher.FindAt("a<b>", 1)->end, 4u);
  EXPECT_FALSE(matcher.FindAt("a<b>", 0).has_value());
  EXPECT_FALSE(matcher.FindAt("a<b>", 4).has_value());
}

TEST(TokenMatcherTest, WhatIsNoTextIsNeverFound) {
  const TokenMatcher matcher(Tokens{{"", 1}, {"\xE4\xBD", 2}, {"a", 3}, {"a", 4}});
  EXPECT_EQ(FindAll(matcher, "\u4F60a"), "3-4:3");
  EXPECT_TRUE(TokenMatcher().empty());
  EXPECT_TRUE(TokenMatcher(Tokens{{"", 1}}).empty());
  EXPECT_EQ(FindAll(TokenMatcher(), "a"), "");
}

TEST(TokenMatcherTest, EqualsTryingEverySpellingEverywhere) {
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    static constexpr absl::string_view kLetters[] = {"a", "b", "\u00e9", "\u00e8"};
    const auto draw = [&](size_t longest) {
      std::string text;
      for (size_t n = random() % (longest + 1); n > 0; --n) text += std::string(kLetters[random() % 4]);
      return text;
    };
    Tokens tokens;
    for (uint32_t id = 0; id < seed % 20; ++id) tokens.emplace_back(draw(4), id);
    const TokenMatcher matcher(tokens);
    const std::string text = draw(30);
    std::string expected;
    for (size_t begin = 0; begin < text.size();) {
      const std::pair<std::string, uint32_t>* best = nullptr;
      for (const auto& token : tokens) {
        const bool fits = !token.first.empty() && text.compare(begin, token.first.size(), token.first) == 0;
        if (fits && (best == nullptr || token.first.size() > best->first.size())) best = &token;
      }
      if (best == nullptr) {
        ++begin;
        continue;
      }
      const size_t end = begin + best->first.size();
      if (!expected.empty()) expected += ' ';
      expected += std::to_string(begin) + "-" + std::to_string(end) + ":" + std::to_string(best->second);
      begin = end;
    }
    ASSERT_EQ(FindAll(matcher, text), expected) << text;
  }
}

TEST(TokenMatcherTest, MegabytesAndThousandsOfSpellingsTakeNoTime) {
  Tokens tokens;
  for (uint32_t id = 0; id < 10'000; ++id) tokens.emplace_back("<|reserved_" + std::to_string(id) + "|>", id);
  for (uint32_t n = 2; n < 80; ++n) tokens.emplace_back(std::string(n, ' '), 10'000 + n);
  const auto begin = std::chrono::steady_clock::now();
  const TokenMatcher matcher(tokens);
  std::string almost;
  while (almost.size() < 4 << 20) almost += "<|reserved_1234>";
  EXPECT_EQ(FindAll(matcher, almost), "");
  EXPECT_FALSE(FindAll(matcher, std::string(4 << 20, ' ')).empty());
  EXPECT_EQ(FindAll(matcher, std::string(4 << 20, 'a')), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

}  // namespace
}  // namespace kedge
