#include "common/jinja/unicode.h"

#include "gtest/gtest.h"

namespace kedge::jinja {
namespace {

TEST(Unicode, CaseMayTakeSeveralCharacters) {
  EXPECT_EQ(ToUpper(U'\u00df'), "SS");
  EXPECT_EQ(ToTitle(U'\u00df'), "Ss");
  EXPECT_EQ(ToTitle(U'\u01c6'), "\u01c5");  // a letter that has a third case
  EXPECT_EQ(ToUpper(U'\u01c6'), "\u01c4");
  EXPECT_EQ(ToLower(U'\u0130'), "i\u0307");
  EXPECT_EQ(ToUpper(U'1'), "1");
  EXPECT_TRUE(IsCased(U'\u00aa') && !IsCased(U'1') && !IsCased(U'\u4e2d'));
}

TEST(Unicode, NumbersAreOfThreeKinds) {
  EXPECT_TRUE(IsDecimal(U'\u0663') && IsDigit(U'\u0663') && IsNumeric(U'\u0663'));    // Arabic three
  EXPECT_TRUE(!IsDecimal(U'\u00b2') && IsDigit(U'\u00b2') && IsNumeric(U'\u00b2'));   // superscript two
  EXPECT_TRUE(!IsDecimal(U'\u00bd') && !IsDigit(U'\u00bd') && IsNumeric(U'\u00bd'));  // a half
}

TEST(Unicode, LinesEndAndTextIsShownAsInPython) {
  for (const char32_t ends : {U'\n', U'\r', U'\v', U'\f', U'\x1c', U'\u0085', U'\u2028'})
    EXPECT_TRUE(IsLineBreak(ends));
  EXPECT_FALSE(IsLineBreak(U'\x1f'));
  EXPECT_TRUE(IsPrintable(U' ') && IsPrintable(U'\u00e9') && IsPrintable(U'\U0001F600'));
  EXPECT_FALSE(IsPrintable(U'\u00a0') || IsPrintable(U'\u200b') || IsPrintable(U'\ue000') || IsPrintable(U'\x7f'));
}

}  // namespace
}  // namespace kedge::jinja
