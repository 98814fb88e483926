#include "common/tokenizer/jinja_outline.h"

#include <gtest/gtest.h>

namespace kedge {
namespace {

// {%...%} and {{...}} with tokens between blanks, literals in quotes.
std::string Show(absl::string_view source) {
  const auto items = OutlineJinja(source);
  if (!items.ok()) return std::string(items.status().message());
  std::string text;
  for (const JinjaItem& item : *items) {
    const bool statement = item.kind == JinjaItem::Kind::kStatement;
    text += statement ? "{%" : "{{";
    for (const JinjaToken& token : item.tokens) {
      text += " " + (token.kind == JinjaToken::Kind::kLiteral ? "'" + token.text + "'" : token.text);
    }
    text += statement ? " %}" : " }}";
  }
  return text;
}

TEST(JinjaOutlineTest, WritesEqualTemplatesEqually) {
  EXPECT_EQ(Show(""), "");
  EXPECT_EQ(Show("{%for m in  ms%}"), "{% for m in ms %}");
  EXPECT_EQ(Show("{{ m['role'] }}"), "{{ m . role }}");
  EXPECT_EQ(Show("{{ms[0][\"role\"]}}"), "{{ ms [ 0 ] . role }}");
  EXPECT_EQ(Show("{{ 'a' + \"b\" + c + 'd' + 'e' }}"), "{{ 'ab' + c + 'de' }}");
  EXPECT_EQ(Show("{{ 'a\\n\\'' }}"), "{{ 'a\n'' }}");
  EXPECT_EQ(Show("{{ 'a\n' }}"), "{{ 'a\n' }}");
  EXPECT_EQ(Show("{{ 'a' + b['c'] | trim + 'd' }}"), "{{ 'a' + b . c . strip ( ) + 'd' }}");
  EXPECT_EQ(Show("{{ 'a' }}b{{ c }}{{ 'd' }}"), "{{ 'ab' + c + 'd' }}");
}

TEST(JinjaOutlineTest, KeepsWhatDiffers) {
  EXPECT_EQ(Show("{{ 'a' + b | upper }}"), "{{ 'a' + b | upper }}");
  EXPECT_EQ(Show("{{ 'a + b' }}"), "{{ 'a + b' }}");
  EXPECT_EQ(Show("{{ '}}' }}"), "{{ '}}' }}");
  EXPECT_EQ(Show("{{ 'a\\d' }}"), "{{ 'a\\d' }}");
}

TEST(JinjaOutlineTest, TextLosesWhiteSpaceByJinjasRules) {
  EXPECT_EQ(Show("{% a %}\n  {% b %}\n"), "{% a %}{% b %}");
  EXPECT_EQ(Show("{% a %}\n\n{% b %}"), "{% a %}{{ '\n' }}{% b %}");
  EXPECT_EQ(Show("{% a %}  {% b %}"), "{% a %}{{ '  ' }}{% b %}");
  EXPECT_EQ(Show("  {% a %}"), "{% a %}");
  EXPECT_EQ(Show("x {% a %}"), "{{ 'x ' }}{% a %}");
  EXPECT_EQ(Show("{{ a }}\n{{ b }}"), "{{ a + '\n' + b }}");
  EXPECT_EQ(Show("{{ a -}} \n {{- b }}"), "{{ a + b }}");
  EXPECT_EQ(Show("{%- a -%}\n\n x \n{%- b %}"), "{% a %}{{ 'x' }}{% b %}");
  EXPECT_EQ(Show("{# note #}\n{% a %}{#- x -#} y"), "{% a %}{{ 'y' }}");
  EXPECT_EQ(Show("x\n"), "{{ 'x' }}");
}

TEST(JinjaOutlineTest, NamesWhatDoesNotEnd) {
  EXPECT_EQ(Show("{% for"), "a tag is not closed by %}");
  EXPECT_EQ(Show("{{ a"), "a tag is not closed by }}");
  EXPECT_EQ(Show("{{ 'a }}"), "a string literal does not end");
  EXPECT_EQ(Show("{# a"), "a comment is not closed by #}");
  EXPECT_EQ(Show("{"), "{{ '{' }}");
}

}  // namespace
}  // namespace kedge
