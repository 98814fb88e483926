#include "common/base/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace kedge {
namespace {

using Kind = Utf8Head::Kind;

// Encodes any value below 2^21, valid or not, as UTF-8's arithmetic would, in `length` bytes.
std::string Spell(uint32_t value, int length) {
  if (length == 1) return std::string(1, static_cast<char>(value));
  std::string bytes(length, '\0');
  for (int i = length - 1; i > 0; --i, value >>= 6) bytes[i] = static_cast<char>(0x80 | (value & 0x3F));
  bytes[0] = static_cast<char>((0xF00 >> length & 0xFF) | value);
  return bytes;
}

TEST(Utf8Test, AcceptsExactlyTheShortestFormsOfTheScalarValues) {
  for (uint32_t value = 0; value < 0x200000; ++value) {
    const int shortest = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    const bool is_character = value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
    for (int length = shortest; length <= 4; ++length) {
      const std::string bytes = Spell(value, length);
      const bool expected = is_character && length == shortest;
      const Utf8Head head = ReadUtf8(bytes);
      ASSERT_EQ(head.kind == Kind::kCharacter && head.length == bytes.size(), expected) << value << " in " << length;
      ASSERT_EQ(!FindInvalidUtf8(bytes).has_value(), expected) << value << " in " << length;
    }
  }
}

TEST(Utf8Test, TellsIncompleteFromInvalid) {
  const auto expect = [](const std::string& bytes, Kind kind, size_t length) {
    const Utf8Head head = ReadUtf8(bytes);
    EXPECT_EQ(head.kind, kind) << testing::PrintToString(bytes);
    EXPECT_EQ(head.length, length) << testing::PrintToString(bytes);
  };
  expect("\xF0\x9F\x98", Kind::kIncomplete, 3);
  expect("\xE2\x82", Kind::kIncomplete, 2);
  expect("\xC3", Kind::kIncomplete, 1);
  expect("\xF0\x9F\x98x", Kind::kInvalid, 3);
  expect("\xF0\x9Fx", Kind::kInvalid, 2);
  expect("\xC3x", Kind::kInvalid, 1);
  expect("\x80", Kind::kInvalid, 1);
  expect("\xFF", Kind::kInvalid, 1);
  expect("\xC0\x80", Kind::kInvalid, 1);          // overlong
  expect("\xE0\x80\x80", Kind::kInvalid, 1);      // overlong
  expect("\xED\xA0\x80", Kind::kInvalid, 1);      // a surrogate
  expect("\xF0\x80\x80\x80", Kind::kInvalid, 1);  // overlong
  expect("\xF4\x90\x80\x80", Kind::kInvalid, 1);  // past U+10FFFF
}

TEST(Utf8Test, NamesTheFirstBadByte) {
  EXPECT_EQ(FindInvalidUtf8(""), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("plain \xC3\xA9 \xF0\x9F\x98\x80"), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8(absl::string_view("a\0b", 3)), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("ab\xC3(cd"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xC3\xA9\xE2\x82"), 2u);
}

TEST(Utf8Test, ReadsCharactersOfEveryLength) {
  absl::string_view text = "A\u00E9\u20AC\U0001F600";
  const char32_t code_points[] = {U'A', U'\u00E9', U'\u20AC', U'\U0001F600'};
  for (size_t i = 0; i < 4; ++i) {
    const Character character = ReadCharacter(text);
    EXPECT_EQ(character.code_point, code_points[i]);
    EXPECT_EQ(character.length, i + 1);
    const Character last = ReadLastCharacter(absl::StrCat("x\u00E9", text.substr(0, i + 1)));
    EXPECT_EQ(last.code_point, code_points[i]);
    EXPECT_EQ(last.length, i + 1);
    text.remove_prefix(character.length);
  }
  EXPECT_TRUE(text.empty());
}

TEST(Utf8Test, KnowsWhiteSpace) {
  for (const char32_t space : {U' ', U'\t', U'\n', U'\r', U'\u00A0', U'\u2003', U'\u3000'})
    EXPECT_TRUE(IsWhiteSpace(space));
  for (const char32_t other : {U'.', U'_', U'\u200B', U'\uFEFF', U'\u3002'}) EXPECT_FALSE(IsWhiteSpace(other));
}

TEST(Utf8Test, WhatIsPrintableIsOneLineOfText) {
  EXPECT_EQ(Printable("h\u00E9 \U0001F600 \"\\"), "h\u00E9 \U0001F600 \"\\");
  EXPECT_EQ(Printable(absl::string_view("a\nb\tc\r\x1b[31m\0\x7f", 13)), "a\\nb\\tc\\x0d\\x1b[31m\\x00\\x7f");
  EXPECT_EQ(Printable("\u009B\u2028\u202E\u2066\u200F"), "\\x9b\\u2028\\u202e\\u2066\\u200f");
  EXPECT_EQ(Printable("a\xFF\xE2\x82"
                      "b"),
            "a\\xff\\xe2\\x82b");
}

TEST(Utf8Test, LinesAreCutBetweenWhatTheyShow) {
  EXPECT_EQ(PrintableLine("abcdef", 6), "abcdef");
  EXPECT_EQ(PrintableLine("abcdefg", 6), "abc...");
  EXPECT_EQ(PrintableLine("ab\x1b[2J and more", 8), "ab...");  // no half an escape
  EXPECT_EQ(PrintableLine("\u20AC\u20AC\u20AC", 8), "\u20AC...");
  EXPECT_EQ(PrintableLine("\x1b\x1b", 3), "...");
  EXPECT_EQ(PrintableLine(std::string(10000, '\n'), 100).size(), 99u);
}

TEST(Utf8Test, ATerminalGetsTextWithoutControls) {
  EXPECT_EQ(ForTerminal("a\n\tb \u20AC"), "a\n\tb \u20AC");
  EXPECT_EQ(ForTerminal("\x1b]0;owned\x07\r\u009B2J\x7f"), "\uFFFD]0;owned\uFFFD\uFFFD\uFFFD2J\uFFFD");
  EXPECT_EQ(ForTerminal("a\xff"
                        "b"),
            "a\uFFFD"
            "b");
  EXPECT_EQ(ForTerminal(absl::string_view("\0", 1)), "\uFFFD");
}

TEST(Utf8Test, StripsWhiteSpaceAsPythonDoes) {
  EXPECT_EQ(StripWhiteSpace(""), "");
  EXPECT_EQ(StripWhiteSpace(" \r\n\t\v\f"), "");
  EXPECT_EQ(StripWhiteSpace("a"), "a");
  EXPECT_EQ(StripWhiteSpace("\n a \u3000 b\u00A0\u2028"), "a \u3000 b");
  EXPECT_EQ(StripWhiteSpace("\x1C\x1F\u0085\u1680\u2000\u200A\u202F\u205Fx"), "x");
  EXPECT_EQ(StripWhiteSpace("\u200B\u180E\uFEFF"), "\u200B\u180E\uFEFF");  // no white space
  EXPECT_EQ(StripWhiteSpace("\u00E0\u0420"), "\u00E0\u0420");              // whose last bytes are those of white space
}

}  // namespace
}  // namespace kedge
