// Integers have 64 bits: what does not fit is an error, never another number.
// Tested by template_test.cc and jinja2_test.py.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/format.h"
#include "common/jinja/invocation.h"
#include "common/jinja/markup.h"
#include "common/jinja/operators.h"

namespace kedge::jinja {
namespace {

absl::string_view Symbol(Operator op) {
  constexpr absl::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<int>(op)];
}

absl::Status NotDefined(Operator op, const Value& a, const Value& b) {
  for (const Value* value : {&a, &b}) {
    if (value->is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value->undefined());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("`", Symbol(op), "` is not defined for a ", TypeName(a), " and a ", TypeName(b)));
}

absl::Status TooLarge() { return absl::OutOfRangeError("an integer is beyond 64 bits"); }
absl::Status DivisionByZero() { return absl::InvalidArgumentError("division by zero"); }

// A number's origin is that of an input that it came from.
Origin OriginOf(const Value& a, const Value& b) { return a.origin() != kTemplate ? a.origin() : b.origin(); }

absl::StatusOr<Value> IntegerPower(int64_t base, int64_t exponent, Origin origin) {
  if (exponent < 0) {
    if (base == 0) return DivisionByZero();
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)), origin);
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return TooLarge();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return TooLarge();
  }
  return Value::Int(result, origin);
}

absl::StatusOr<Value> Integers(Operator op, int64_t a, int64_t b, Origin origin) {
  int64_t result = 0;
  switch (op) {
    case Operator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return TooLarge();
      break;
    case Operator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return TooLarge();
      break;
    case Operator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return TooLarge();
      break;
    case Operator::kDivide:
      if (b == 0) return DivisionByZero();
      return Value::Float(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)), origin);
    case Operator::kFloorDivide:
    case Operator::kModulo: {
      if (b == 0) return DivisionByZero();
      if (b == -1) {  // the one quotient that may not fit
        if (op == Operator::kModulo) return Value::Int(0, origin);
        if (__builtin_sub_overflow(int64_t{0}, a, &result)) return TooLarge();
        break;
      }
      const bool round_down = a % b != 0 && (a < 0) != (b < 0);
      result = op == Operator::kModulo ? a % b + (round_down ? b : 0) : a / b - (round_down ? 1 : 0);
      break;
    }
    default:
      return IntegerPower(a, b, origin);
  }
  return Value::Int(result, origin);
}

double FloatModulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double FloatFloorDivide(double a, double b) {
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

absl::StatusOr<Value> Floats(Operator op, double a, double b, Origin origin) {
  switch (op) {
    case Operator::kAdd:
      return Value::Float(a + b, origin);
    case Operator::kSubtract:
      return Value::Float(a - b, origin);
    case Operator::kMultiply:
      return Value::Float(a * b, origin);
    case Operator::kPower: {
      if (a == 0 && b < 0) return DivisionByZero();
      const double power = std::pow(a, b);
      if (std::isnan(power) && !std::isnan(a) && !std::isnan(b)) {
        return absl::InvalidArgumentError("`**` gives a complex number");
      }
      if (std::isinf(power) && !std::isinf(a) && !std::isinf(b)) return absl::OutOfRangeError("a float is too large");
      return Value::Float(power, origin);
    }
    default:
      break;
  }
  if (b == 0) return DivisionByZero();
  if (op == Operator::kDivide) return Value::Float(a / b, origin);
  return Value::Float(op == Operator::kModulo ? FloatModulo(a, b) : FloatFloorDivide(a, b), origin);
}

absl::StatusOr<Value> RepeatText(Runtime& runtime, const Text& text, int64_t times) {
  TextBuilder builder(runtime.account());
  builder.AppendRepeated(text, times);
  return AsString(builder.Build());
}

// So many items more than there are.
absl::Status CheckItems(Runtime& runtime, uint64_t items) {
  constexpr uint64_t kMost = uint64_t{1} << 48;
  KEDGE_RETURN_IF_ERROR(runtime.account()->Check(std::min(items, kMost) * sizeof(Value)));
  return runtime.account()->Step(static_cast<int64_t>(items / 8));
}

absl::StatusOr<Value> RepeatSequence(Runtime& runtime, const Value& value, int64_t times) {
  const Sequence& sequence = value.sequence();
  std::vector<Value> values;
  if (sequence.values.empty() || times < 0) times = 0;
  uint64_t items = 0;
  if (__builtin_mul_overflow(static_cast<uint64_t>(times), sequence.values.size(), &items)) {
    items = std::numeric_limits<int64_t>::max();
  }
  KEDGE_RETURN_IF_ERROR(CheckItems(runtime, items));
  values.reserve(items);
  for (int64_t i = 0; i < times; ++i) {
    values.insert(values.end(), sequence.values.begin(), sequence.values.end());
  }
  return AsList(runtime.account(), std::move(values), sequence.kind);
}

bool IsListOrTuple(const Value& value) {
  return value.is(Value::Kind::kSequence) && value.sequence().kind <= Sequence::Kind::kTuple;
}

absl::StatusOr<Value> Concatenate(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is(Value::Kind::kString) && b.is(Value::Kind::kString)) {
    if (a.is_markup() != b.is_markup()) {
      KEDGE_ASSIGN_OR_RETURN(const Value left, Escaped(runtime.account(), a));
      KEDGE_ASSIGN_OR_RETURN(const Value right, Escaped(runtime.account(), b));
      return Concatenate(runtime, left, right);
    }
    TextBuilder builder(runtime.account());
    builder.Append(a.text());
    builder.Append(b.text());
    absl::StatusOr<Value> both = AsString(builder.Build());
    return a.is_markup() ? Marked(runtime.account(), std::move(both)) : both;
  }
  if (IsListOrTuple(a) && IsListOrTuple(b) && a.sequence().kind == b.sequence().kind) {
    KEDGE_RETURN_IF_ERROR(CheckItems(runtime, a.sequence().values.size() + b.sequence().values.size()));
    std::vector<Value> values;
    values.reserve(a.sequence().values.size() + b.sequence().values.size());
    values.insert(values.end(), a.sequence().values.begin(), a.sequence().values.end());
    values.insert(values.end(), b.sequence().values.begin(), b.sequence().values.end());
    return AsList(runtime.account(), std::move(values), a.sequence().kind);
  }
  return NotDefined(Operator::kAdd, a, b);
}

absl::StatusOr<Value> Multiply(Runtime& runtime, const Value& a, const Value& b) {
  const bool left = b.is_integer();
  const Value& repeated = left ? a : b;
  const Value& times = left ? b : a;
  if (!times.is_integer()) return NotDefined(Operator::kMultiply, a, b);
  if (repeated.is(Value::Kind::kString)) {
    absl::StatusOr<Value> text = RepeatText(runtime, repeated.text(), times.as_int());
    return repeated.is_markup() ? Marked(runtime.account(), std::move(text)) : text;
  }
  if (IsListOrTuple(repeated)) return RepeatSequence(runtime, repeated, times.as_int());
  return NotDefined(Operator::kMultiply, a, b);
}

}  // namespace

absl::StatusOr<Value> Arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const Origin origin = OriginOf(a, b);
    if (a.is_integer() && b.is_integer()) return Integers(op, a.as_int(), b.as_int(), origin);
    return Floats(op, a.as_double(), b.as_double(), origin);
  }
  if (op == Operator::kModulo && a.is(Value::Kind::kString)) return FormatPercent(runtime, a, b);
  if (op == Operator::kAdd) return Concatenate(runtime, a, b);
  if (op == Operator::kMultiply) return Multiply(runtime, a, b);
  return NotDefined(op, a, b);
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (value.is_integer()) return Integers(Operator::kSubtract, 0, value.as_int(), value.origin());
  if (value.is_number()) return Value::Float(-value.as_double(), value.origin());
  return NotDefined(Operator::kSubtract, Value::Int(0), value);
}

absl::StatusOr<Value> Plus(const Value& value) {
  if (value.is_integer()) return Value::Int(value.as_int(), value.origin());
  if (value.is_number()) return value;
  return NotDefined(Operator::kAdd, Value::Int(0), value);
}

}  // namespace kedge::jinja
