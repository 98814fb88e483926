#include "common/tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace kedge {
namespace {

using Pieces = std::vector<std::string>;

Pieces Split(absl::string_view name, absl::string_view text) {
  const auto pre_tokenizer = PreTokenizer::Create(name);
  EXPECT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.status();
  Pieces pieces;
  const absl::Status status =
      (*pre_tokenizer)->Split(text, [&](absl::string_view piece) { pieces.push_back(std::string(piece)); });
  EXPECT_TRUE(status.ok()) << status;
  return pieces;
}

TEST(PreTokenizerTest, Gpt2CutsWordsWithTheSpaceBeforeThem) {
  EXPECT_EQ(Split("gpt-2", ""), Pieces{});
  EXPECT_EQ(Split("gpt-2", "Hello, world 42!"), (Pieces{"Hello", ",", " world", " 42", "!"}));
  EXPECT_EQ(Split("gpt-2", "I'm they'll I'M"), (Pieces{"I", "'m", " they", "'ll", " I", "'", "M"}));
  EXPECT_EQ(Split("gpt-2", "na\u00EFve \u4F60\u597D\u3002 x\u00B2"),
            (Pieces{"na\u00EFve", " \u4F60\u597D", "\u3002", " x", "\u00B2"}));
  EXPECT_EQ(Split("gpt-2", "e\u0301"), (Pieces{"e", "\u0301"}));  // a combining mark is no letter
}

TEST(PreTokenizerTest, RunOfWhiteSpaceLeavesItsLastForTheNextWord) {
  EXPECT_EQ(Split("gpt-2", "a   b"), (Pieces{"a", "  ", " b"}));
  EXPECT_EQ(Split("gpt-2", "a \n\n b"), (Pieces{"a", " \n\n", " b"}));
  EXPECT_EQ(Split("gpt-2", "a\n\nb"), (Pieces{"a", "\n", "\n", "b"}));
  EXPECT_EQ(Split("gpt-2", "a   "), (Pieces{"a", "   "}));
  EXPECT_EQ(Split("gpt-2", "a  12"), (Pieces{"a", " ", " 12"}));
}

TEST(PreTokenizerTest, SmollmCutsDigitsOneByOneBeforeAnythingElse) {
  EXPECT_EQ(Split("smollm", "Hello 42!"), (Pieces{"Hello", " ", "4", "2", "!"}));
  EXPECT_EQ(Split("smollm", "a  12"), (Pieces{"a", "  ", "1", "2"}));
  EXPECT_EQ(Split("smollm", "a  b  1  "), (Pieces{"a", " ", " b", "  ", "1", "  "}));
  EXPECT_EQ(Split("smollm", "x\u00B2\u0663\u2167"), (Pieces{"x", "\u00B2", "\u0663", "\u2167"}));
  EXPECT_EQ(Split("smollm", "it's 1's"), (Pieces{"it", "'s", " ", "1", "'s"}));
}

TEST(PreTokenizerTest, Llama3TakesOneSignWithAWordAndDigitsByThree) {
  EXPECT_EQ(Split("llama-bpe", "Hello, world 42!"), (Pieces{"Hello", ",", " world", " ", "42", "!"}));
  EXPECT_EQ(Split("llama-bpe", "12345 (abc) _x"), (Pieces{"123", "45", " (", "abc", ")", " _", "x"}));
  EXPECT_EQ(Split("llama-bpe", "(abc.def\tx"), (Pieces{"(abc", ".def", "\tx"}));
  EXPECT_EQ(Split("llama-bpe", "I'm THEY'LL x'Re"), (Pieces{"I", "'m", " THEY", "'LL", " x", "'Re"}));
  EXPECT_EQ(Split("llama-bpe", "e\u0301a"), (Pieces{"e", "\u0301a"}));  // a mark is a sign like others
}

TEST(PreTokenizerTest, Llama3EndsRunsAtLineBreaks) {
  EXPECT_EQ(Split("llama-bpe", "a \n\n b"), (Pieces{"a", " \n\n", " b"}));
  EXPECT_EQ(Split("llama-bpe", "a\n\nb"), (Pieces{"a", "\n\n", "b"}));
  EXPECT_EQ(Split("llama-bpe", "a\n \r\n   b"), (Pieces{"a", "\n \r\n", "  ", " b"}));
  EXPECT_EQ(Split("llama-bpe", "a.\n\n b!?\r"), (Pieces{"a", ".\n\n", " b", "!?\r"}));
  EXPECT_EQ(Split("llama-bpe", "a   "), (Pieces{"a", "   "}));
  EXPECT_EQ(Split("llama-bpe", "a\u3000\u0085\nb\u2028 x"), (Pieces{"a", "\u3000\u0085\n", "b", "\u2028", " x"}));
}

TEST(PreTokenizerTest, Qwen2DiffersInDigits) {
  EXPECT_EQ(Split("qwen2", "It'S 12345, (abc)\n\nx"),
            (Pieces{"It", "'S", " ", "1", "2", "3", "4", "5", ",", " (", "abc", ")\n\n", "x"}));
  EXPECT_TRUE((*PreTokenizer::Create("llama-bpe"))->takes_whole_tokens());
  EXPECT_FALSE((*PreTokenizer::Create("qwen2"))->takes_whole_tokens());
}

TEST(PreTokenizerTest, TekkenEndsWordsBeforeAnUpperCaseLetter) {
  EXPECT_EQ(Split("tekken", "camelCaseWord HTTPServer 12"),
            (Pieces{"camel", "Case", "Word", " HTTPServer", " ", "1", "2"}));
  EXPECT_EQ(Split("tekken", "It's a/b\n\n// x"), (Pieces{"It", "'s", " a", "/b", "\n\n", "//", " x"}));
  EXPECT_EQ(Split("tekken", "e\u0301a. \u4F60\u597DA"), (Pieces{"e\u0301a", ".", " \u4F60\u597D", "A"}));
}

TEST(PreTokenizerTest, Qwen35TakesMarksIntoWords) {
  EXPECT_EQ(Split("qwen35", "e\u0301a 12 \u0301"), (Pieces{"e\u0301a", " ", "1", "2", " \u0301"}));
}

TEST(PreTokenizerTest, WhiteSpaceIsUnicodesProperty) {
  EXPECT_EQ(Split("gpt-2", "a\u00A0\u3000\u0085b"), (Pieces{"a", "\u00A0\u3000", "\u0085", "b"}));
  EXPECT_EQ(Split("gpt-2", "a\u180Eb\u200Bc"), (Pieces{"a", "\u180E", "b", "\u200B", "c"}));  // no white space
}

TEST(PreTokenizerTest, RejectsOtherNames) {
  const auto unknown = PreTokenizer::Create("falcon");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(unknown.status().message().find("'falcon'"), absl::string_view::npos);
  EXPECT_NE(unknown.status().message().find("smollm"), absl::string_view::npos);
}

TEST(PreTokenizerTest, MegabytesTakeLinearTimeAndMeetNoLimit) {
  const size_t kSize = 1 << 20;
  std::string wide_spaces;
  while (wide_spaces.size() < kSize) wide_spaces += "\u3000";
  std::string mixed;
  while (mixed.size() < kSize) mixed += " a1 \n\n'll \u4F60\u3002  ";
  std::string blank_lines;
  while (blank_lines.size() < kSize) blank_lines += " \n";
  for (const std::string& text : {std::string(kSize, 'a'), std::string(kSize, 'A'), std::string(kSize, ' '),
                                  std::string(kSize, ' ') + "x", std::string(kSize, '!'), std::string(kSize, '7'),
                                  std::string(kSize, '\n'), wide_spaces, mixed, blank_lines, blank_lines + " x"}) {
    for (const char* name : {"gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35", "tekken"}) {
      const auto pre_tokenizer = PreTokenizer::Create(name);
      ASSERT_TRUE(pre_tokenizer.ok());
      std::string together;
      const auto begin = std::chrono::steady_clock::now();
      const absl::Status status =
          (*pre_tokenizer)->Split(text, [&](absl::string_view piece) { together.append(piece.data(), piece.size()); });
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_TRUE(together == text) << name << " on " << text.substr(0, 8);
    }
  }
}

}  // namespace
}  // namespace kedge
