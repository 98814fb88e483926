#include "common/jinja/text.h"

#include <gtest/gtest.h>

#include "common/jinja/text_ops.h"

namespace kedge::jinja {
namespace {

Text Mixed() {
  TextBuilder builder(nullptr);
  builder.Append("ab", 0);
  builder.Append("\u00e9c", 1);
  builder.Append("d", 2);
  return *builder.Build();
}

// "origin:bytes|..."
std::string Show(const Text& text) {
  std::string shown;
  size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    shown += std::to_string(run.origin) + ":" + std::string(text.bytes().substr(begin, run.end - begin)) + "|";
    begin = run.end;
  }
  return shown;
}

TEST(Text, KeepsTheOriginOfEveryByte) {
  const Text text = Mixed();
  EXPECT_EQ(Show(text), "0:ab|1:\u00e9c|2:d|");
  EXPECT_EQ(text.characters(), 5u);
  EXPECT_EQ(text.Offset(3), 4u);
  EXPECT_EQ(Show(*text.Slice(nullptr, 1, 4)), "0:b|1:\u00e9|");
  EXPECT_EQ(Show(*text.Slice(nullptr, 2, 2)), "");
  EXPECT_EQ(text.origin(0), 0u);
  EXPECT_EQ(text.origin(4), 1u);
  EXPECT_EQ(text.origin(5), 2u);
}

TEST(Text, JoinsNeighboursOfOneOrigin) {
  TextBuilder builder(nullptr);
  builder.Append(Text("a", 1));
  builder.Append(Text("b", 1));
  builder.Append(Text(""));
  builder.Append(Text("c", 1));
  EXPECT_EQ(Show(*builder.Build()), "1:abc|");
}

TEST(Text, ReplacesWhatIsNotUtf8) { EXPECT_EQ(Text("a\xff\xc3z").bytes(), "a\uFFFD\uFFFDz"); }

TEST(Text, OperationsKeepOrigins) {
  Account account((Limits()));
  EXPECT_EQ(Show(*Upper(&account, Mixed())), "0:AB|1:\u00c9C|2:D|");
  EXPECT_EQ(Show(*Replace(&account, Mixed(), Text("b\u00e9", 5), Text("+", 9))), "0:a|9:+|1:c|2:d|");
  EXPECT_EQ(Show(*Replace(&account, Mixed(), Text(""), Text("-", 9), 2)), "9:-|0:a|9:-|0:b|1:\u00e9c|2:d|");
  EXPECT_EQ(Show(*Strip(&account, Mixed(), Side::kBoth, "ad")), "0:b|1:\u00e9c|");
  const auto parts = *Split(&account, Mixed(), "b", -1, false);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(Show(parts[1]), "1:\u00e9c|2:d|");
  EXPECT_EQ(Show(*Pad(&account, Mixed(), 1, 0, Text("*"))), "0:*ab|1:\u00e9c|2:d|");
}

TEST(Text, SplitsAsPythonDoes) {
  Account account((Limits()));
  const auto show = [&](absl::StatusOr<std::vector<Text>> parts) {
    std::string shown;
    for (const Text& part : *parts) shown += "[" + std::string(part.bytes()) + "]";
    return shown;
  };
  const Text text(" a  b c ");
  EXPECT_EQ(show(Split(&account, text, std::nullopt, -1, false)), "[a][b][c]");
  EXPECT_EQ(show(Split(&account, text, std::nullopt, 1, false)), "[a][b c ]");
  EXPECT_EQ(show(Split(&account, text, std::nullopt, 1, true)), "[ a  b][c]");
  EXPECT_EQ(show(Split(&account, text, " ", 2, true)), "[ a  b][c][]");
  EXPECT_EQ(show(SplitLines(&account, Text("a\r\nb\n\nc"), false)), "[a][b][][c]");
}

TEST(Text, CaseIsUnicodes) {
  Account account((Limits()));
  EXPECT_EQ(Upper(&account, Text("stra\u00dfe \ufb01"))->bytes(), "STRASSE FI");
  EXPECT_EQ(Lower(&account, Text("\u039f\u03a3 \u0130"))->bytes(), "\u03bf\u03c2 i\u0307");  // a sigma that ends a word
  EXPECT_EQ(Title(&account, Text("they're \u01c6"))->bytes(), "They'Re \u01c5");
}

TEST(Account, GivesBackWhatEnds) {
  Limits limits;
  limits.memory_bytes = 10'000;
  Account account(limits);
  for (int i = 0; i < 100; ++i) {
    TextBuilder builder(&account);
    for (int j = 0; j < 40; ++j) builder.Append("0123456789012345678901234567890123456789", 0);
    ASSERT_TRUE(builder.Build().ok()) << i;
  }
  TextBuilder builder(&account);
  for (int j = 0; j < 1000; ++j) builder.Append("0123456789012345678901234567890123456789", 0);
  EXPECT_EQ(builder.Build().status().message(), "the template needs more than 10000 bytes of memory");
}

}  // namespace
}  // namespace kedge::jinja
