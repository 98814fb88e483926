#include "common/jinja/format_spec.h"

#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace kedge::jinja {
namespace {

std::string Number(absl::string_view spec, const Value& number) {
  const auto read = ReadFormatSpec(spec);
  if (!read.ok()) return std::string(read.status().message());
  const auto text = FormatNumber(*read, number);
  return text.ok() ? *text : std::string(text.status().message());
}

TEST(FormatSpec, ReadsEveryPart) {
  const FormatSpec spec = *ReadFormatSpec("\u00e9^+#012_.3f");
  EXPECT_EQ(spec.fill, "\u00e9");
  EXPECT_EQ(spec.align, '^');
  EXPECT_EQ(spec.sign, '+');
  EXPECT_TRUE(spec.alternate);
  EXPECT_EQ(spec.width, 12);
  EXPECT_EQ(spec.grouping, '_');
  EXPECT_EQ(spec.precision, 3);
  EXPECT_EQ(spec.type, 'f');
  EXPECT_EQ(ReadFormatSpec("<<")->fill, "<");  // an align that is a fill
  const FormatSpec nothing = *ReadFormatSpec("");
  EXPECT_EQ(nothing.width, 0);
  EXPECT_EQ(nothing.precision, -1);
  EXPECT_EQ(nothing.align, 0);
}

TEST(FormatSpec, IsBounded) {
  EXPECT_TRUE(ReadFormatSpec("1000000").ok());
  EXPECT_EQ(ReadFormatSpec("1000001").status().message(), "a format asks for more than 1000000 characters");
  EXPECT_FALSE(ReadFormatSpec(".1001").ok());
  EXPECT_FALSE(ReadFormatSpec("99999999999999999999999").ok());
  EXPECT_FALSE(ReadFormatSpec("d3").ok());
}

TEST(FormatSpec, WritesNumbersAsPythonDoes) {
  EXPECT_EQ(Number(",", Value::Int(-1234567)), "-1,234,567");
  EXPECT_EQ(Number("_x", Value::Int(0x12345)), "1_2345");
  EXPECT_EQ(Number("#b", Value::Int(5)), "0b101");
  EXPECT_EQ(Number("d", Value::Int(std::numeric_limits<int64_t>::min())), "-9223372036854775808");
  EXPECT_EQ(Number("+.2f", Value::Float(2.675)), "+2.67");
  EXPECT_EQ(Number(".1%", Value::Float(0.125)), "12.5%");
  EXPECT_EQ(Number("E", Value::Float(std::numeric_limits<double>::infinity())), "INF");
  EXPECT_EQ(Number("", Value::Float(1e16)), "1e+16");
}

TEST(FormatSpec, CharactersAreOfUnicode) {
  EXPECT_EQ(*CharacterOf(0x1F600), "\U0001F600");
  EXPECT_FALSE(CharacterOf(0x110000).ok());
  EXPECT_FALSE(CharacterOf(-1).ok());
}

}  // namespace
}  // namespace kedge::jinja
