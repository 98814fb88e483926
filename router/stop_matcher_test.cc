#include "router/stop_matcher.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StopMatcherTest, LetsTextThroughWithoutStopStrings) {
  StopMatcher matcher({}, false);
  EXPECT_EQ(matcher.Push("abc"), "abc");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcherTest, FindsAStringAcrossPieces) {
  StopMatcher matcher({"</s>"}, false);
  EXPECT_EQ(matcher.Push("hello <"), "hello ");
  EXPECT_EQ(matcher.Push("/"), "");
  EXPECT_EQ(matcher.Push("s"), "");
  EXPECT_EQ(matcher.Push("> world"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.matched_string(), "</s>");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcherTest, LetsGoOfABeginningThatCameToNothing) {
  StopMatcher matcher({"abac"}, false);
  EXPECT_EQ(matcher.Push("xab"), "x");
  EXPECT_EQ(matcher.Push("ab"), "ab");  // "abab": the second "ab" may still be a beginning
  EXPECT_EQ(matcher.Finish(), "ab");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcherTest, KeepsTheStopStringIfAsked) {
  StopMatcher matcher({"END"}, true);
  EXPECT_EQ(matcher.Push("a E"), "a ");
  EXPECT_EQ(matcher.Push("ND and more"), "END");
}

TEST(StopMatcherTest, TheFirstToBeCompleteEndsTheTextAndOfEqualsTheLongest) {
  StopMatcher shorter({"abcd", "bc"}, false);
  EXPECT_EQ(shorter.Push("xabcd"), "xa");
  EXPECT_EQ(shorter.matched_string(), "bc");
  StopMatcher longest({"c", "abc", "bc"}, false);
  EXPECT_EQ(longest.Push("xabcd"), "x");
  EXPECT_EQ(longest.matched_string(), "abc");
}

// Over two letters every overlap occurs; the oracle searches the whole text.
TEST(StopMatcherTest, AgreesWithASearchOfTheWholeTextForAnyPieces) {
  std::mt19937 random(17);
  for (int round = 0; round < 20000; ++round) {
    SCOPED_TRACE(round);
    const auto letters = [&](int length) {
      std::string text;
      for (int i = 0; i < length; ++i) text += static_cast<char>('a' + random() % 2);
      return text;
    };
    std::vector<std::string> stop;
    for (uint32_t i = 0; i < 1 + random() % 3; ++i) stop.push_back(letters(1 + static_cast<int>(random() % 6)));
    const std::string text = letters(static_cast<int>(random() % 24));
    const bool include = random() % 2 == 0;

    std::string expected = text;
    std::string expected_match;
    for (size_t end = 1; end <= text.size() && expected_match.empty(); ++end) {
      for (const std::string& candidate : stop) {
        if (end >= candidate.size() && text.compare(end - candidate.size(), candidate.size(), candidate) == 0 &&
            candidate.size() > expected_match.size()) {
          expected_match = candidate;
          expected = text.substr(0, include ? end : end - candidate.size());
        }
      }
    }

    StopMatcher matcher(stop, include);
    std::string got;
    for (size_t at = 0; at < text.size() && !matcher.matched();) {
      const size_t length = 1 + random() % 4;
      got += matcher.Push(absl::string_view(text).substr(at, length));
      EXPECT_EQ(got, expected.substr(0, got.size()));  // never more than is certain
      at += length;
    }
    got += matcher.Finish();
    ASSERT_EQ(got, expected) << text;
    ASSERT_EQ(matcher.matched(), !expected_match.empty());
    if (matcher.matched()) {
      ASSERT_EQ(matcher.matched_string(), expected_match);
    }
  }
}

}  // namespace
}  // namespace kedge
