#include "eval/forms/frame.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

const Ask kAsk = {.form = "single",
                  .question = "Which?",
                  .evidence = {{4, 9}},
                  .check = {.answers = {"fact"}},
                  .expected = "The fact."};

TEST(FrameTest, PartsLieWhereTheyAreSaidToBe) {
  for (const char* words : {"Text:\n{t}\n\nQ: {q}", "{q} See:\n{t}", "Before {q} after {t} end"}) {
    const Question made = AskInFrame({.words = words}, "The facts are here.", kAsk);
    EXPECT_EQ(made.TextOf(made.asked), "Which?") << words;
    ASSERT_EQ(made.evidence.size(), 1u);
    EXPECT_EQ(made.TextOf(made.evidence[0]), "facts") << words;
    EXPECT_EQ(made.chat.messages[0].role, "user");
  }
  const Question made = AskInFrame({.words = "A {t} B {q} C"}, "The facts are here.", kAsk);
  EXPECT_EQ(*made.chat.messages[0].content, "A The facts are here. B Which? C");
}

TEST(FrameTest, TheTextMayHaveBraces) {
  const Question made = AskInFrame({.words = "{t}\n{q}"}, "int f() { return {t}; }", kAsk);
  EXPECT_EQ(*made.chat.messages[0].content, "int f() { return {t}; }\nWhich?");
}

TEST(FrameTest, APlainTextOpensItsAnswer) {
  const TextOptions plain{.plain = true};
  EXPECT_EQ(*AskAll("{t} {q}", "Text.", {kAsk}, plain)[0].chat.messages[0].content, "Text. Which?\nAnswer:");
  EXPECT_EQ(*AskAll("{t} {q}", "Text.", {kAsk}, {})[0].chat.messages[0].content, "Text. Which?");
}

TEST(FrameTest, TokensAreLeftForTheText) {
  TextOptions options{.tokens = 100, .count_tokens = [](absl::string_view text) { return text.size(); }};
  EXPECT_EQ(TokensForText(options, "1234567890", "12345"), 100u - 10 - 5 - 30);
  EXPECT_EQ(TokensForText(options, "1234567890", "12345", /*more=*/7), 100u - 10 - 5 - 30 - 7);
  options.tokens = 20;
  EXPECT_EQ(TokensForText(options, "1234567890", "12345"), 0u);
}

}  // namespace
}  // namespace kedge
