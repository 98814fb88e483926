#include "common/jinja/lexer.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace kedge::jinja {
namespace {

std::string Show(absl::string_view source) {
  const auto tokens = Tokenize(source);
  if (!tokens.ok()) return std::string(tokens.status().message());
  std::string shown;
  for (const Token& token : *tokens) {
    switch (token.kind) {
      case Token::Kind::kData:
        absl::StrAppend(&shown, "[", token.text, "]");
        break;
      case Token::Kind::kEnd:
        break;
      default:
        absl::StrAppend(&shown, Describe(token));
    }
  }
  return shown;
}

TEST(Lexer, TakesWhiteSpaceAwayAtTags) {
  EXPECT_EQ(Show("a\n  {% x %}\n b"), "[a\n]`{%``x``%}`[ b]");
  EXPECT_EQ(Show("a {% x %}\n\nb"), "[a ]`{%``x``%}`[\nb]");
  EXPECT_EQ(Show("a \n {%- x -%} \n b"), "[a]`{%``x``%}`[b]");
  EXPECT_EQ(Show("a\n {%+ x +%}\nb"), "[a\n ]`{%``x``%}`[\nb]");
  EXPECT_EQ(Show("a\n {{ x }}\nb"), "[a\n ]`{{``x``}}`[\nb]");
  EXPECT_EQ(Show("a\n  {# c #}\nb\n"), "[a\n][b]");
  EXPECT_EQ(Show("\r\na\rb\r\n"), "[\na\nb]");
}

TEST(Lexer, RawIsText) {
  EXPECT_EQ(Show("{% raw %}{{ x }}{# {% endraw %}\ny"), "[{{ x }}{# ][y]");
  EXPECT_EQ(Show("{%- raw -%} a {%- endraw -%} b"), "[a][b]");
  EXPECT_EQ(Show("a\n{% raw %}b"), "line 2: `raw` has no `endraw`");
}

TEST(Lexer, BracketsHoldAnEndBack) {
  EXPECT_EQ(Show("{{ {'a': {}} }}"), "`{{``{``a``:``{``}``}``}}`");
  EXPECT_EQ(Show("{{ (1] }}"), "line 1: unexpected `]`, expected `)`");
}

TEST(Lexer, ReadsNumbersAndStrings) {
  const auto tokens = *Tokenize("{{ 1_000 0x1F 1.5e-3 2e2 'a\\n\\u00e9\\x41\\q' }}");
  EXPECT_EQ(tokens[1].integer, 1000);
  EXPECT_EQ(tokens[2].integer, 31);
  EXPECT_EQ(tokens[3].number, 1.5e-3);
  EXPECT_EQ(tokens[4].number, 200);
  EXPECT_EQ(tokens[5].text, "a\n\u00e9A\\q");
  EXPECT_EQ(Show("{{ x.0.1 }}"), "`{{``x``.``0``.``1``}}`");
}

TEST(Lexer, ErrorsNameTheLine) {
  EXPECT_EQ(Show("a\n\n{{ 'x }}"), "line 3: a string has no end");
  EXPECT_EQ(Show("\n{{ $ }}"), "line 2: unexpected character `$`");
  EXPECT_EQ(Show("{{ 99999999999999999999 }}"), "line 1: the integer 99999999999999999999 does not fit 64 bits");
  EXPECT_EQ(Show("{# x"), "line 1: a comment `{#` has no end `#}`");
  EXPECT_EQ(Show("\n{% if x"), "line 2: `{%` has no end `%}`");
  EXPECT_EQ(Show("a\xff"), "byte 1 of the template is not UTF-8");
}

}  // namespace
}  // namespace kedge::jinja
