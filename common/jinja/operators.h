// What operators, attributes and items give, as in Python.
#ifndef KEDGE_COMMON_JINJA_OPERATORS_H_
#define KEDGE_COMMON_JINJA_OPERATORS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/object.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kIn,
  kNotIn,
};

// kAdd to kPower. kInvalidArgument: not defined for these types, a division by zero; kOutOfRange: an integer beyond 64
// bits.
absl::StatusOr<Value> Arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b);
absl::StatusOr<Value> Negate(const Value& value);
absl::StatusOr<Value> Plus(const Value& value);

// kEqual to kNotIn.
absl::StatusOr<bool> Compare(Runtime& runtime, Operator op, const Value& a, const Value& b);

// The attribute, method or member of this name, as after a dot: an undefined value if there is none. kInvalidArgument:
// `value` is undefined itself.
absl::StatusOr<Value> GetAttribute(Runtime& runtime, const Value& value, absl::string_view name);
// The same in brackets.
absl::StatusOr<Value> GetItem(Runtime& runtime, const Value& value, const Value& key);
// value[begin:end:step]; nullptr: left out.
absl::StatusOr<Value> GetSlice(Runtime& runtime, const Value& value, const Value* begin, const Value* end,
                               const Value* step);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_OPERATORS_H_
