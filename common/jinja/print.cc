// Tested by value_test.cc.
#include "common/jinja/print.h"

#include <charconv>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/jinja/object.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

// Python prefers single quotes.
char QuoteFor(absl::string_view bytes) {
  return absl::StrContains(bytes, '\'') && !absl::StrContains(bytes, '"') ? '"' : '\'';
}

// A character within quotes as repr() writes it; empty: as it is.
std::string EscapeInRepr(char32_t character, char quote) {
  switch (character) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
  }
  if (character == static_cast<char32_t>(quote)) return absl::StrCat("\\", std::string(1, quote));
  if (IsPrintable(character)) return "";
  if (character < 0x100) return absl::StrFormat("\\x%02x", static_cast<unsigned>(character));
  if (character < 0x10000) return absl::StrFormat("\\u%04x", static_cast<unsigned>(character));
  return absl::StrFormat("\\U%08x", static_cast<unsigned>(character));
}

void AppendQuoted(const Text& text, TextBuilder& to) {
  const absl::string_view bytes = text.bytes();
  const char quote = QuoteFor(bytes);
  to.Append(absl::string_view(&quote, 1), text.origin(0));
  size_t plain = 0;  // what follows from here to `offset` is written as it is
  for (size_t offset = 0; offset < bytes.size();) {
    const size_t length = CharacterLength(bytes[offset]);
    const std::string escape = EscapeInRepr(FirstCharacter(bytes.substr(offset, length)), quote);
    if (!escape.empty()) {
      to.Append(text, plain, offset);
      to.Append(escape, text.origin(offset));
      plain = offset + length;
    }
    offset += length;
  }
  to.Append(text, plain, bytes.size());
  to.Append(absl::string_view(&quote, 1), text.origin(0));
}

absl::Status AppendSequence(const Value& value, TextBuilder& to) {
  const Sequence& sequence = value.sequence();
  const Origin origin = value.origin();
  absl::string_view open = "[";
  absl::string_view close = "]";
  switch (sequence.kind) {
    case Sequence::Kind::kList:
      break;
    case Sequence::Kind::kTuple:
      open = "(";
      close = sequence.values.size() == 1 ? ",)" : ")";
      break;
    case Sequence::Kind::kKeys:
      open = "dict_keys([";
      close = "])";
      break;
    case Sequence::Kind::kValues:
      open = "dict_values([";
      close = "])";
      break;
    case Sequence::Kind::kItems:
      open = "dict_items([";
      close = "])";
      break;
    case Sequence::Kind::kRange:
      to.Append(absl::StrCat("range(", sequence.begin, ", ", sequence.end), origin);
      to.Append(sequence.step == 1 ? ")" : absl::StrCat(", ", sequence.step, ")"), origin);
      return to.status();
    case Sequence::Kind::kOnce:
      return absl::UnimplementedError(
          absl::StrCat("a ", TypeName(value), " cannot be printed; the filter `list` makes a list of it"));
  }
  to.Append(open, origin);
  for (size_t i = 0; i < sequence.values.size(); ++i) {
    if (i > 0) to.Append(", ", origin);
    KEDGE_RETURN_IF_ERROR(AppendRepr(sequence.values[i], to));
  }
  to.Append(close, origin);
  return to.status();
}

absl::Status AppendMembers(const Value& value, TextBuilder& to) {
  to.Append("{", value.origin());
  bool first = true;
  for (const auto& [key, member] : value.members().values) {
    if (!first) to.Append(", ", value.origin());
    first = false;
    KEDGE_RETURN_IF_ERROR(AppendRepr(key, to));
    to.Append(": ", value.origin());
    KEDGE_RETURN_IF_ERROR(AppendRepr(member, to));
  }
  to.Append("}", value.origin());
  return to.status();
}

// What str() and repr() agree on.
absl::Status AppendOther(const Value& value, TextBuilder& to) {
  switch (value.kind()) {
    case Value::Kind::kNone:
      to.Append("None", value.origin());
      break;
    case Value::Kind::kBool:
      to.Append(value.as_bool() ? "True" : "False", value.origin());
      break;
    case Value::Kind::kInt:
      to.Append(absl::StrCat(value.as_int()), value.origin());
      break;
    case Value::Kind::kFloat:
      to.Append(FloatToString(value.as_double()), value.origin());
      break;
    case Value::Kind::kSequence:
      return AppendSequence(value, to);
    case Value::Kind::kDict:
      return AppendMembers(value, to);
    case Value::Kind::kObject:
      return absl::UnimplementedError(absl::StrCat("a ", TypeName(value), " cannot be printed"));
    default:
      break;
  }
  return to.status();
}

}  // namespace

std::string FloatToString(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[64];
  const std::to_chars_result exact =
      std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::scientific);
  const std::string scientific(buffer, exact.ptr);
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return scientific;  // two digits of exponent at least, as in Python
  const std::to_chars_result fixed = std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::fixed);
  std::string text(buffer, fixed.ptr);
  if (!absl::StrContains(text, '.')) text += ".0";
  return text;
}

absl::Status AppendText(const Value& value, TextBuilder& to) {
  if (value.is(Value::Kind::kString)) {
    to.Append(value.text());
    return to.status();
  }
  return AppendOther(value, to);
}

absl::Status AppendRepr(const Value& value, TextBuilder& to) {
  if (value.is(Value::Kind::kString)) {
    if (value.is_markup()) to.Append("Markup(", kTemplate);
    AppendQuoted(value.text(), to);
    if (value.is_markup()) to.Append(")", kTemplate);
    return to.status();
  }
  if (value.is(Value::Kind::kUndefined)) to.Append("Undefined", kTemplate);
  return AppendOther(value, to);
}

absl::StatusOr<Text> ToText(Account* account, const Value& value) {
  if (value.is(Value::Kind::kString)) return value.text();
  TextBuilder builder(account);
  KEDGE_RETURN_IF_ERROR(AppendText(value, builder));
  return builder.Build();
}

}  // namespace kedge::jinja
