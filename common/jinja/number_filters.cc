// Tested by template_test.cc and jinja2_test.py.
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/jinja/filters.h"
#include "common/jinja/operators.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

using Result = absl::StatusOr<Value>;

absl::Status NotDefined(const Invocation& call, absl::string_view filter) {
  if (call.subject.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(call.subject.undefined());
  return absl::InvalidArgumentError(
      absl::StrCat("the filter `", filter, "` is not defined for a ", TypeName(call.subject)));
}

// A number as Python's int() and float() read it: white space around it, single underscores between digits, no digits
// but ASCII's. nullopt: it is none.
std::optional<std::string> NumberText(absl::string_view text) {
  text = StripWhiteSpace(text);
  std::string number;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      number.push_back(absl::ascii_tolower(text[i]));
      continue;
    }
    if (i == 0 || i + 1 == text.size() || !absl::ascii_isalnum(text[i - 1]) || !absl::ascii_isalnum(text[i + 1])) {
      return std::nullopt;
    }
  }
  if (number.empty()) return std::nullopt;
  return number;
}

std::optional<double> ReadFloat(absl::string_view text) {
  const std::optional<std::string> number = NumberText(text);
  if (!number.has_value() || absl::StrContains(*number, 'x') || absl::StrContains(*number, '(')) return std::nullopt;
  double value = 0;
  if (!absl::SimpleAtod(*number, &value)) return std::nullopt;
  return value;
}

// nullopt: it is none. kOutOfRange: it has more than 64 bits.
absl::StatusOr<std::optional<int64_t>> ReadInteger(absl::string_view text, int64_t base) {
  std::optional<std::string> number = NumberText(text);
  if (!number.has_value()) return std::optional<int64_t>();
  absl::string_view digits = *number;
  const bool negative = digits[0] == '-';
  if (negative || digits[0] == '+') digits.remove_prefix(1);
  if (digits.size() > 1 && digits[0] == '0') {
    const char kind = digits[1];
    const int prefix = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (prefix != 0 && (base == prefix || base == 0)) {
      digits.remove_prefix(2);
      base = prefix;
    }
  }
  if (base == 0) {
    if (digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != absl::string_view::npos) {
      return std::optional<int64_t>();
    }
    base = 10;
  }
  if (base < 2 || base > 36 || digits.empty() || !absl::ascii_isalnum(digits[0])) return std::optional<int64_t>();
  uint64_t magnitude = 0;
  const std::from_chars_result read =
      std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, static_cast<int>(base));
  if (read.ptr != digits.data() + digits.size()) return std::optional<int64_t>();
  const uint64_t most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) + (negative ? 1 : 0);
  if (read.ec == std::errc::result_out_of_range || magnitude > most) {
    return absl::OutOfRangeError("an integer is beyond 64 bits");
  }
  return std::optional<int64_t>(static_cast<int64_t>(negative ? ~magnitude + 1 : magnitude));
}

Result Truncated(double value, Origin origin) {
  if (!(std::abs(value) < 9223372036854775808.0)) return absl::OutOfRangeError("a float has no integer of 64 bits");
  return Value::Int(static_cast<int64_t>(value), origin);
}

// The default where it is given, else `otherwise`.
Value DefaultOf(const Invocation& call, Value otherwise) { return call.Has(0) ? *call.given[0] : otherwise; }

Result IntFilter(const Invocation& call) {
  const Value& value = call.subject;
  if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
  if (value.is_integer()) return Value::Int(value.as_int(), value.origin());
  if (value.is(Value::Kind::kFloat)) {
    if (std::isnan(value.as_double())) return DefaultOf(call, Value::Int(0));
    return Truncated(value.as_double(), value.origin());
  }
  if (!value.is(Value::Kind::kString)) return DefaultOf(call, Value::Int(0));
  KEDGE_ASSIGN_OR_RETURN(const int64_t base, call.Int(1, 10));
  const absl::string_view text = value.text().bytes();
  KEDGE_ASSIGN_OR_RETURN(const std::optional<int64_t> integer, ReadInteger(text, base));
  if (integer.has_value()) return Value::Int(*integer, value.text().origin(0));
  const std::optional<double> number = ReadFloat(text);
  if (!number.has_value() || std::isnan(*number)) return DefaultOf(call, Value::Int(0));
  return Truncated(*number, value.text().origin(0));
}

Result FloatFilter(const Invocation& call) {
  const Value& value = call.subject;
  if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
  if (value.is_number()) return Value::Float(value.as_double(), value.origin());
  const std::optional<double> number = value.is(Value::Kind::kString) ? ReadFloat(value.text().bytes()) : std::nullopt;
  if (!number.has_value()) return DefaultOf(call, Value::Float(0));
  return Value::Float(*number, value.text().origin(0));
}

Result Abs(const Invocation& call) {
  if (!call.subject.is_number()) return NotDefined(call, "abs");
  if (call.subject.is(Value::Kind::kFloat)) {
    return Value::Float(std::abs(call.subject.as_double()), call.subject.origin());
  }
  return call.subject.as_int() < 0 ? Negate(call.subject) : Plus(call.subject);
}

// To the nearest decimal, ties of the exact value to the even digit, as Python's round().
double RoundDecimal(double value, int64_t precision) {
  if (!std::isfinite(value) || precision > 323) return value;
  if (precision < -308) return std::copysign(0.0, value);
  if (precision < 0) {
    const double power = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / power) * power;
  }
  char buffer[700];
  const std::to_chars_result text =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed, static_cast<int>(precision));
  double rounded = value;
  std::from_chars(buffer, text.ptr, rounded);
  return rounded;
}

Result Round(const Invocation& call) {
  if (!call.subject.is_number()) return NotDefined(call, "round");
  KEDGE_ASSIGN_OR_RETURN(const int64_t precision, call.Int(0, 0));
  KEDGE_ASSIGN_OR_RETURN(const Text method, call.String(1, "common"));
  const Origin origin = call.subject.origin();
  if (method.bytes() == "common") {
    if (call.subject.is_integer()) {
      if (precision >= 0) return Value::Int(call.subject.as_int(), origin);
      return absl::UnimplementedError("round: a negative precision is not supported for an integer");
    }
    return Value::Float(RoundDecimal(call.subject.as_double(), precision), origin);
  }
  if (method.bytes() != "ceil" && method.bytes() != "floor") {
    return absl::InvalidArgumentError("round: the method must be common, ceil or floor");
  }
  const double power = std::pow(10.0, static_cast<double>(precision));
  const double scaled = call.subject.as_double() * power;
  if (!std::isfinite(scaled)) return absl::OutOfRangeError("round: a float is too large");
  return Value::Float((method.bytes() == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power, origin);
}

Result Sum(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  Value sum = call.Has(1) ? *call.given[1] : Value::Int(0);
  if (sum.is(Value::Kind::kString)) return absl::InvalidArgumentError("sum: strings are joined by the filter `join`");
  for (const Value& item : items.sequence().values) {
    KEDGE_RETURN_IF_ERROR(call.account()->Step());
    KEDGE_ASSIGN_OR_RETURN(const Value value, AtPath(call.runtime, item, call.given[0], nullptr));
    KEDGE_ASSIGN_OR_RETURN(sum, Arithmetic(call.runtime, Operator::kAdd, sum, value));
  }
  return sum;
}

constexpr Filter kFilters[] = {
    {"abs", "", &Abs},
    {"float", "default?", &FloatFilter},
    {"int", "default? base?", &IntFilter},
    {"round", "precision? method?", &Round},
    {"sum", "attribute? start?", &Sum},
};

}  // namespace

absl::Span<const Filter> NumberFilters() { return kFilters; }

}  // namespace kedge::jinja
