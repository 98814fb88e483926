#include "common/tokenizer/new_characters.h"

#include <gtest/gtest.h>

#include "common/base/utf8.h"
#include "common/tokenizer/new_characters_table.h"
#include "common/tokenizer/pre_tokenizer.h"

namespace kedge {
namespace {

std::string Older(const std::string& text) {
  std::string older = "unchanged";
  const bool has_new = ReplaceNewCharacters(text, &older);
  EXPECT_EQ(has_new, older != "unchanged");
  return older;
}

TEST(NewCharactersTest, AreReplacedByOlderOnesOfTheSameKindAndSize) {
  EXPECT_EQ(Older(""), "unchanged");
  EXPECT_EQ(Older("a\u00E9\u4F60\U0001F600\U0001FAE8"), "unchanged");  // the last one is new, but no letter
  EXPECT_EQ(Older("a\u1C89\u00E9"), "a\u13F5\u00E9");
  EXPECT_EQ(FindInvalidUtf8(Older("\U0002EBF0x\u1C8A\U00016130")), std::nullopt);
}

TEST(NewCharactersTest, TableIsSortedAndKeepsTheSize) {
  const auto size = [](char32_t code_point) { return code_point < 0x10000 ? 3 : 4; };
  char32_t last = 0x7FF;
  for (const NewCharacters& range : kNewCharacters) {
    EXPECT_LT(last, range.first);
    EXPECT_LE(range.first, range.last);
    EXPECT_LT(range.stand_in, range.first);
    EXPECT_GE(range.stand_in, 0x800u);
    EXPECT_EQ(size(range.stand_in), size(range.first));
    EXPECT_EQ(size(range.stand_in), size(range.last));
    last = range.last;
  }
}

// Letters of Unicode 15 (U+2EBF0), and letters and a digit of Unicode 16.
TEST(NewCharactersTest, PreTokenizersKnowTheirClass) {
  for (const char* name : {"gpt-2", "smollm", "llama-bpe", "qwen2"}) {
    SCOPED_TRACE(name);
    const auto pre_tokenizer = PreTokenizer::Create(name);
    ASSERT_TRUE(pre_tokenizer.ok());
    std::string pieces;
    const absl::Status status =
        (*pre_tokenizer)->Split("a\u1C89\u1C8A \U0002EBF0b\U00016130!", [&](absl::string_view piece) {
          pieces += "[" + std::string(piece) + "]";
        });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(pieces, "[a\u1C89\u1C8A][ \U0002EBF0b][\U00016130][!]");
  }
}

}  // namespace
}  // namespace kedge
