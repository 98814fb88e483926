// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/format_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/jinja/print.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

constexpr int kMaxPrecision = 1000;
constexpr int64_t kMaxWidth = 1'000'000;

absl::Status BadSpec(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("`", text, "` is no format"));
}

// Digits at the front of `text`; kInvalidArgument: more than `most`.
absl::StatusOr<int64_t> ReadCount(absl::string_view& text, int64_t most) {
  int64_t count = 0;
  while (!text.empty() && absl::ascii_isdigit(text[0])) {
    count = count * 10 + (text[0] - '0');
    if (count > most)
      return absl::InvalidArgumentError(absl::StrCat("a format asks for more than ", most, " characters"));
    text.remove_prefix(1);
  }
  return count;
}

std::string Digits(uint64_t number, int base, bool capitals) {
  // (A name of its own: g++ 12 with -fsanitize=undefined takes a wrong index where this is one expression.)
  const char* const symbols = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string digits;
  do {
    digits.push_back(symbols[number % base]);
    number /= base;
  } while (number > 0);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string Grouped(const std::string& digits, char separator, size_t every) {
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) grouped.push_back(separator);
    grouped.push_back(digits[i]);
  }
  return grouped;
}

std::string Print(const char* format, int precision, double number) {
  char buffer[1500];
  std::snprintf(buffer, sizeof(buffer), format, precision, number);
  return buffer;
}

// Of a number that is not negative. "": the type is not one for floats.
std::string FloatDigits(const FormatSpec& spec, double number) {
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  if (std::isinf(number) || std::isnan(number)) {
    const std::string name = std::isnan(number) ? "nan" : "inf";
    const std::string text = spec.type != 0 && absl::ascii_isupper(spec.type) ? absl::AsciiStrToUpper(name) : name;
    return spec.type == '%' ? text + "%" : text;
  }
  switch (spec.type) {
    case 'e':
      return Print("%.*e", precision, number);
    case 'E':
      return Print("%.*E", precision, number);
    case 'f':
    case 'F':
      return Print("%.*f", precision, number);
    case 'g':
      return Print(spec.alternate ? "%#.*g" : "%.*g", precision, number);
    case 'G':
      return Print(spec.alternate ? "%#.*G" : "%.*G", precision, number);
    case '%':
      return Print("%.*f", precision, number * 100) + "%";
    case 0: {
      if (spec.precision < 0) return FloatToString(number);
      // As `g`, but with a digit behind the point, and an exponent one digit earlier.
      const int digits = std::max(1, spec.precision);
      std::string text = Print("%.*g", digits, number);
      const std::string exponent = Print("%.*e", digits - 1, number);
      const int power = std::atoi(exponent.c_str() + exponent.find('e') + 1);
      if (power >= digits - 1 && power < digits && !absl::StrContains(text, 'e')) {
        std::string mantissa = exponent.substr(0, exponent.find('e'));
        if (absl::StrContains(mantissa, '.')) {
          mantissa.erase(mantissa.find_last_not_of('0') + 1);
          if (mantissa.back() == '.') mantissa.pop_back();
        }
        return mantissa + exponent.substr(exponent.find('e'));
      }
      if (!absl::StrContains(text, 'e') && !absl::StrContains(text, '.')) text += ".0";
      return text;
    }
    default:
      return "";
  }
}

// Of an integer without its sign. "": the type is not one for integers.
std::string IntegerDigits(const FormatSpec& spec, uint64_t number) {
  const size_t every = spec.type == 0 || spec.type == 'd' ? 3 : 4;
  std::string digits;
  std::string prefix;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'i':
    case 'u':
    case 'n':
      digits = Digits(number, 10, false);
      break;
    case 'x':
      digits = Digits(number, 16, false);
      prefix = "0x";
      break;
    case 'X':
      digits = Digits(number, 16, true);
      prefix = "0X";
      break;
    case 'o':
      digits = Digits(number, 8, false);
      prefix = "0o";
      break;
    case 'b':
      digits = Digits(number, 2, false);
      prefix = "0b";
      break;
    default:
      return "";
  }
  if (spec.grouping != 0) digits = Grouped(digits, spec.grouping, every);
  return spec.alternate ? prefix + digits : digits;
}

// Zeros between sign and digits, with the separators that the width has room for.
std::string FillWithZeros(const FormatSpec& spec, const std::string& plain, size_t sign) {
  std::string digits = plain;
  const size_t missing_to = static_cast<size_t>(std::max<int64_t>(0, spec.width - static_cast<int64_t>(sign)));
  const size_t prefix =
      spec.alternate && digits.size() > 2 && digits[0] == '0' && absl::ascii_isalpha(digits[1]) ? 2 : 0;
  if (digits.size() >= missing_to) return digits;
  digits.insert(prefix, missing_to - digits.size(), spec.fill[0]);
  return digits;
}

}  // namespace

absl::StatusOr<FormatSpec> ReadFormatSpec(absl::string_view text) {
  const absl::string_view whole = text;
  FormatSpec spec;
  const size_t first = text.empty() ? 0 : CharacterLength(text[0]);
  constexpr absl::string_view kAligns = "<>^=";
  if (first > 0 && first < text.size() && absl::StrContains(kAligns, text[first])) {
    spec.fill = std::string(text.substr(0, first));
    spec.align = text[first];
    text.remove_prefix(first + 1);
  } else if (first == 1 && absl::StrContains(kAligns, text[0])) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty() && absl::StrContains("+- ", text[0])) {
    spec.sign = text[0];
    text.remove_prefix(1);
  }
  if (absl::ConsumePrefix(&text, "#")) spec.alternate = true;
  if (absl::ConsumePrefix(&text, "0") && spec.align == 0) {
    spec.fill = "0";
    spec.align = '=';
  }
  KEDGE_ASSIGN_OR_RETURN(spec.width, ReadCount(text, kMaxWidth));
  if (!text.empty() && (text[0] == ',' || text[0] == '_')) {
    spec.grouping = text[0];
    text.remove_prefix(1);
  }
  if (absl::ConsumePrefix(&text, ".")) {
    if (text.empty() || !absl::ascii_isdigit(text[0])) return BadSpec(whole);
    KEDGE_ASSIGN_OR_RETURN(const int64_t precision, ReadCount(text, kMaxPrecision));
    spec.precision = static_cast<int>(precision);
  }
  if (text.size() > 1) return BadSpec(whole);
  if (!text.empty()) spec.type = text[0];
  return spec;
}

absl::StatusOr<std::string> CharacterOf(int64_t number) {
  if (number < 0 || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000)) {
    return absl::InvalidArgumentError(absl::StrCat(number, " is the number of no character"));
  }
  std::string character;
  AppendCharacter(static_cast<char32_t>(number), character);
  return character;
}

absl::StatusOr<std::string> FormatNumber(const FormatSpec& spec, const Value& number) {
  std::string digits;
  bool negative = false;
  const bool as_float = number.is(Value::Kind::kFloat) || (spec.type != 0 && absl::StrContains("eEfFgG%", spec.type));
  if (as_float) {
    negative = std::signbit(number.as_double());
    digits = FloatDigits(spec, std::abs(number.as_double()));
    if (spec.grouping != 0 && !digits.empty() && absl::ascii_isdigit(digits[0])) {
      const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
      digits = Grouped(digits.substr(0, whole), spec.grouping, 3) + digits.substr(whole);
    }
  } else {
    if (spec.precision >= 0) return absl::InvalidArgumentError("a format of an integer has no precision");
    if (spec.type == 'c') return CharacterOf(number.as_int());
    negative = number.as_int() < 0;
    const uint64_t bits = static_cast<uint64_t>(number.as_int());
    digits = IntegerDigits(spec, negative ? ~bits + 1 : bits);
  }
  if (digits.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the format `", std::string(1, spec.type), "` does not fit a ", TypeName(number)));
  }
  std::string sign;
  if (negative) {
    sign = "-";
  } else if (spec.sign != '-') {
    sign = std::string(1, spec.sign);
  }
  if (spec.align == '=') digits = FillWithZeros(spec, digits, sign.size());
  return sign + digits;
}

absl::Status AppendPadded(const FormatSpec& spec, char default_align, const Text& text, TextBuilder& to) {
  const int64_t missing = std::max<int64_t>(0, spec.width - static_cast<int64_t>(text.characters()));
  const char align = spec.align == 0 ? default_align : spec.align;
  const int64_t left = align == '>' || align == '=' ? missing : align == '^' ? missing / 2 : 0;
  to.AppendRepeated(Text(spec.fill), left);
  to.Append(text);
  to.AppendRepeated(Text(spec.fill), missing - left);
  return to.status();
}

}  // namespace kedge::jinja
