#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/tokenizer/test_vocabulary.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

enum Membership { kNone, kSeparator, kSentence };  // every token of `sentence` is in `separators` too

// Byte-level spelling of spaces and line feeds; other characters as they are.
std::string Spell(const std::string& text) {
  std::string spelling;
  for (const char c : text) spelling += c == ' ' ? "\u0120" : c == '\n' ? "\u010A" : std::string(1, c);
  return spelling;
}

TEST(AnchorSetsTest, MembershipFollowsTheText) {
  const struct {
    const char* text;
    Membership expected;
  } kCases[] = {
      {".", kSentence},    {"?", kSentence},      {"!", kSentence},    {"\n", kSentence},     {"\n\n", kSentence},
      {" .", kSentence},   {"  . ", kSentence},   {".\"", kSentence},  {".')", kSentence},    {"...", kSentence},
      {"?!", kSentence},   {".\n", kSentence},    {" \n", kSentence},  {"\"", kNone},         {"'", kNone},
      {")", kNone},        {"\")", kNone},        {" ", kNone},        {"   ", kNone},        {". .", kNone},
      {"\t", kNone},       {".a", kNone},         {"a.", kNone},       {",", kSeparator},     {";", kSeparator},
      {":", kSeparator},   {"),", kSeparator},    {".,", kSeparator},  {"(", kNone},          {"-", kNone},
      {"--", kNone},       {"(.", kSeparator},    {",\n", kSeparator}, {".-", kSeparator},    {"-\n", kSeparator},
      {"[.", kNone},       {".\r\n", kNone},      {",a", kNone},
  };
  TestVocabulary vocabulary;
  for (const auto& test : kCases) vocabulary.Add(Spell(test.text));
  const AnchorSets sets = FindAnchorSets(*MakeTokenizer(vocabulary));
  std::vector<uint32_t> sentence;
  std::vector<uint32_t> separators;
  for (uint32_t id = 0; id < std::size(kCases); ++id) {
    if (kCases[id].expected == kSentence) sentence.push_back(id);
    if (kCases[id].expected != kNone) separators.push_back(id);
  }
  EXPECT_EQ(sets.sentence, sentence);
  EXPECT_EQ(sets.separators, separators);
  EXPECT_EQ(sets.full_stop, 0u);
}

TEST(AnchorSetsTest, FullWidthMarksBelong) {
  TestVocabulary vocabulary;
  vocabulary.Add("\u00E3\u0122\u0124");   // E3 80 82: 。
  vocabulary.Add("\u00EF\u00BC\u0123");   // EF BC 81: ！
  vocabulary.Add("\u00EF\u00BC\u0141");   // EF BC 9F: ？
  vocabulary.Add("\u00EF\u00BC\u012E");   // EF BC 8C: ，
  vocabulary.Add("\u00EF\u00BC");         // a part of a character
  vocabulary.Add(".\u00EF");              // likewise
  const AnchorSets sets = FindAnchorSets(*MakeTokenizer(vocabulary));
  EXPECT_EQ(sets.sentence, (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(sets.separators, (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(sets.full_stop, std::nullopt);
}

TEST(AnchorSetsTest, OfSpecialTokensOnlyTheEndsBelong) {
  TestVocabulary vocabulary;
  vocabulary.Add("!", 3);   // spelled like a mark, but a control token
  vocabulary.Add(".", 3);
  vocabulary.Add(" .", 1);  // not in the byte alphabet; its text is " ." all the same
  const uint32_t text_end = vocabulary.Add("<|endoftext|>", 3);
  const uint32_t turn_end = vocabulary.Add("<|im_end|>", 3);
  vocabulary.Add("<|im_start|>", 3);
  vocabulary.eos = turn_end;
  const AnchorSets sets = FindAnchorSets(*MakeTokenizer(vocabulary));
  EXPECT_EQ(sets.sentence, (std::vector<uint32_t>{2, text_end, turn_end}));
  EXPECT_EQ(sets.separators, (std::vector<uint32_t>{2, text_end, turn_end}));
  EXPECT_EQ(sets.full_stop, std::nullopt);
}

}  // namespace
}  // namespace kedge
