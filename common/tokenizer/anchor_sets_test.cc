#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/tokenizer/test_vocabulary.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

enum Membership { kNone, kSeparator, kSentence };  // every token of `sentence` is in `separators` too

// Byte-level spelling of spaces and line feeds; other characters as they are.
std::string Spell(const std::string& text) {
  std::string spelling;
  for (const char c : text) {
    spelling += c == ' '    ? "\u0120"
                : c == '\n' ? "\u010A"
                : c == '\r' ? "\u010D"
                : c == '\t' ? "\u0109"
                            : std::string(1, c);
  }
  return spelling;
}

TEST(AnchorSetsTest, MembershipFollowsTheText) {
  const struct {
    const char* text;
    Membership expected;
  } kCases[] = {
      {".", kSentence},      {"?", kSentence},     {"!", kSentence},      {"\n", kSentence},  {"\n\n", kSentence},
      {" .", kSentence},     {"  . ", kSentence},  {".\"", kSentence},    {".')", kSentence}, {"...", kSentence},
      {"?!", kSentence},     {".\n", kSentence},   {" \n", kSentence},    {"\"", kNone},      {"'", kNone},
      {")", kNone},          {"\")", kNone},       {" ", kNone},          {"   ", kNone},     {". .", kSentence},
      {"\t", kNone},         {".a", kNone},        {"a.", kSentence},     {",", kSeparator},  {";", kSeparator},
      {":", kSeparator},     {"),", kSeparator},   {".,", kSeparator},    {"(", kNone},       {"-", kNone},
      {"--", kNone},         {"(.", kSeparator},   {",\n", kSentence},    {".-", kSeparator}, {"-\n", kSentence},
      {"[.", kNone},         {".\r\n", kSentence}, {",a", kNone},         {";\n", kSentence}, {"},\n", kSentence},
      {" |\r\n", kSentence}, {"\r", kSentence},    {"\n\t\t", kSentence}, {").", kSentence},  {"].", kSentence},
      {"!=", kNone},         {"(!", kSeparator},   {"<?", kNone},         {"/.", kNone},      {"_.", kNone},
      {".*", kNone},         {"().", kSeparator},
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

TEST(AnchorSetsTest, MarksOfEveryScriptBelong) {
  // SentencePiece spells tokens as they are.
  const auto tokenizer =
      MakeTokenizer(SentencePieceVocabulary({"\u3002", "\uFF01", "\uFF1F\u300D", "\u0964", "\u061F", "\u2026",
                                             "\u5417\uFF1F", "\u0085", "\u2028", "\uFF0C", "\u060C", "\u4F60"}));
  const AnchorSets sets = FindAnchorSets(*tokenizer);
  const auto texts = [&](const std::vector<uint32_t>& ids) {
    std::vector<std::string> texts;
    for (uint32_t id : ids) {
      if (id >= 259) texts.emplace_back(tokenizer->TokenBytes(id));
    }
    return texts;
  };
  const std::vector<std::string> sentence = {"\u3002", "\uFF01",       "\uFF1F\u300D", "\u0964", "\u061F",
                                             "\u2026", "\u5417\uFF1F", "\u0085",       "\u2028"};
  EXPECT_EQ(texts(sets.sentence), sentence);
  std::vector<std::string> separators = sentence;
  separators.insert(separators.end(), {"\uFF0C", "\u060C"});
  EXPECT_EQ(texts(sets.separators), separators);
  EXPECT_EQ(sets.full_stop, std::nullopt);
}

TEST(AnchorSetsTest, PartsOfCharactersDoNot) {
  TestVocabulary vocabulary;
  vocabulary.Add("\u00E3\u0122\u0124");  // E3 80 82: the ideographic full stop
  vocabulary.Add("\u00EF\u00BC");
  vocabulary.Add(".\u00EF");
  const AnchorSets sets = FindAnchorSets(*MakeTokenizer(vocabulary));
  EXPECT_EQ(sets.sentence, std::vector<uint32_t>{0});
  EXPECT_EQ(sets.separators, std::vector<uint32_t>{0});
}

TEST(AnchorSetsTest, OfSpecialTokensOnlyTheEndsBelong) {
  TestVocabulary vocabulary;
  vocabulary.Add("!", 3);  // spelled like a mark, but a control token
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
