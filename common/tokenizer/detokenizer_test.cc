#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "common/base/utf8.h"
#include "common/tokenizer/test_vocabulary.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

constexpr char kReplacement[] = "\uFFFD";

// The text of all the bytes at once, by the same rule but without a stream.
std::string ReplaceInvalid(absl::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8Head head = ReadUtf8(bytes);
    text += head.kind == Utf8Head::Kind::kCharacter ? std::string(bytes.substr(0, head.length)) : kReplacement;
    bytes.remove_prefix(head.length);
  }
  return text;
}

TEST(DetokenizerTest, HoldsACharacterBackUntilItIsWhole) {
  const auto tokenizer = MakeTokenizer(ByteVocabulary());
  Detokenizer detokenizer(tokenizer.get(), true);
  EXPECT_EQ(detokenizer.Push('a'), "a");
  EXPECT_EQ(detokenizer.Push(0xF0), "");
  EXPECT_EQ(detokenizer.Push(0x9F), "");
  EXPECT_EQ(detokenizer.Push(0x98), "");
  EXPECT_EQ(detokenizer.Push(0x80), "\U0001F600");
  EXPECT_EQ(detokenizer.Push('b'), "b");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(DetokenizerTest, ReplacesWhatCanNotBecomeACharacter) {
  const auto tokenizer = MakeTokenizer(ByteVocabulary());
  Detokenizer detokenizer(tokenizer.get(), true);
  EXPECT_EQ(detokenizer.Push(0x80), kReplacement);
  EXPECT_EQ(detokenizer.Push(0xF0), "");
  EXPECT_EQ(detokenizer.Push(0x9F), "");
  EXPECT_EQ(detokenizer.Push('x'), std::string(kReplacement) + "x");  // one for both bytes
  EXPECT_EQ(detokenizer.Push(0xE2), "");
  EXPECT_EQ(detokenizer.Push(0xC3), kReplacement);  // the first is lost, the second may still become one
  EXPECT_EQ(detokenizer.Push(0xA9), "\u00E9");
  EXPECT_EQ(detokenizer.Push(0xED), "");
  EXPECT_EQ(detokenizer.Push(0xA0), std::string(kReplacement) + kReplacement);  // no surrogates
  EXPECT_EQ(detokenizer.Push(0xE2), "");
  EXPECT_EQ(detokenizer.Push(0x82), "");
  EXPECT_EQ(detokenizer.Finish(), kReplacement);
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST(DetokenizerTest, SpecialTokensAreHiddenOrSpelled) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t end = vocabulary.Add("<|im_end|>", 3);
  const auto tokenizer = MakeTokenizer(vocabulary);
  Detokenizer hiding(tokenizer.get(), true);
  EXPECT_EQ(hiding.Push(0xC3), "");
  EXPECT_EQ(hiding.Push(end), "");
  EXPECT_EQ(hiding.Push(0xA9), "\u00E9");
  Detokenizer showing(tokenizer.get(), false);
  EXPECT_EQ(showing.Push(0xC3), "");
  EXPECT_EQ(showing.Push(end), std::string(kReplacement) + "<|im_end|>");
}

TEST(DetokenizerTest, IdWithoutATokenIsShownAsReplacement) {
  const auto tokenizer = MakeTokenizer(ByteVocabulary());
  Detokenizer detokenizer(tokenizer.get(), true);
  EXPECT_EQ(detokenizer.Push(256), kReplacement);
  EXPECT_EQ(detokenizer.Push(0xFFFFFFFF), kReplacement);
}

TEST(DetokenizerTest, AnyStreamIsValidAndEqualsAllAtOnce) {
  TestVocabulary vocabulary = ByteVocabulary();
  // Tokens that begin and end inside characters, as real vocabularies have them.
  vocabulary.Add("\u0120\u00F0\u0141");  // " \xF0\x9F"
  vocabulary.Add("\u00A9!");             // "\xA9!"
  vocabulary.Add("\u0142\u0122");        // "\xA0\x80"
  vocabulary.Add("<|special|>", 3);
  const auto tokenizer = MakeTokenizer(vocabulary);
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const bool skip = seed % 2 == 0;
    Detokenizer detokenizer(tokenizer.get(), skip);
    std::string streamed;
    std::string bytes;
    for (int length = random() % 60; length > 0; --length) {
      // Mostly first and following bytes, so that characters come about.
      const uint32_t id = random() % 2   ? random() % tokenizer->vocab_size()
                          : random() % 2 ? 0x80 + random() % 0x40
                                         : 0xC0 + random() % 0x40;
      const std::string text = detokenizer.Push(id);
      ASSERT_EQ(FindInvalidUtf8(text), std::nullopt);
      streamed += text;
      if (!(skip && tokenizer->IsSpecial(id))) bytes += std::string(tokenizer->TokenBytes(id));
      // What is held back is the beginning of one character, no more.
      const std::string so_far = ReplaceInvalid(bytes);
      ASSERT_TRUE(streamed == so_far || streamed + kReplacement == so_far);
    }
    streamed += detokenizer.Finish();
    EXPECT_EQ(streamed, ReplaceInvalid(bytes));
  }
}

}  // namespace
}  // namespace kedge
