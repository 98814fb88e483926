#include "common/tokenizer/character_class.h"

#include <string_view>

#include "gtest/gtest.h"

namespace kedge {
namespace {

using Class = CharacterClass;

void ExpectAll(std::u32string_view characters, Class expected, CharacterClasses* classes) {
  for (const char32_t c : characters) {
    EXPECT_EQ(classes->Of(c), expected) << "U+" << std::hex << static_cast<uint32_t>(c);
  }
}

TEST(CharacterClassTest, EveryScriptHasItsMarks) {
  CharacterClasses classes;
  for (int round = 0; round < 2; ++round) {  // looked up, then remembered
    ExpectAll(U".?!\u2026\u3002\uFF01\uFF1F\uFF61\u0964\u061F\u06D4\u0589\u1362\u104B\u17D4\U00011047",
              Class::kTerminal, &classes);
    ExpectAll(U",;:\u3001\uFF0C\uFF1B\u060C\u061B", Class::kSeparator, &classes);
    ExpectAll(U"\"')]}*_`\u00BB\u2019\u201D\u300D\uFF09", Class::kCloser, &classes);
    ExpectAll(U"\n\r\v\f\u0085\u2028\u2029", Class::kLineBreak, &classes);
    ExpectAll(U" \t\u00A0\u3000\u2003", Class::kSpace, &classes);
    ExpectAll(U"\u4F60\u3042\u30AB\u0E01\u0E33\u1780\u1000\U00020000", Class::kUnspaced, &classes);
    ExpectAll(U"a\u00E9\u0436\u03B1", Class::kLower, &classes);
    ExpectAll(U"Z\u0416\u0905\u093F\u0627\uAC00", Class::kLetter, &classes);
    EXPECT_EQ(classes.Of(U'7'), Class::kDigit);
    EXPECT_EQ(classes.Of(U'\uFF17'), Class::kDigit);
    EXPECT_EQ(classes.Of(U'\u0667'), Class::kDigit);
    EXPECT_EQ(classes.Of(U'('), Class::kOpener);
    EXPECT_EQ(classes.Of(U'\uFF08'), Class::kOpener);
    EXPECT_EQ(classes.Of(U'\u201C'), Class::kOpeningQuote);
    EXPECT_EQ(classes.Of(U'|'), Class::kOther);
    EXPECT_EQ(classes.Of(U'\U0001F600'), Class::kOther);
    EXPECT_EQ(classes.Of(U'\uFFFD'), Class::kOther);
  }
}

}  // namespace
}  // namespace kedge
