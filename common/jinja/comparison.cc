// Tested by template_test.cc and jinja2_test.py.
#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/invocation.h"
#include "common/jinja/operators.h"

namespace kedge::jinja {
namespace {

absl::string_view Symbol(Operator op) {
  switch (op) {
    case Operator::kLess:
      return "<";
    case Operator::kLessOrEqual:
      return "<=";
    case Operator::kGreater:
      return ">";
    default:
      return ">=";
  }
}

template <typename T>
bool Holds(Operator op, const T& a, const T& b) {
  switch (op) {
    case Operator::kLess:
      return a < b;
    case Operator::kLessOrEqual:
      return a <= b;
    case Operator::kGreater:
      return a > b;
    default:
      return a >= b;
  }
}

absl::StatusOr<bool> Order(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return Holds(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) {
    return Holds(op, static_cast<long double>(a.is_integer() ? a.as_int() : a.as_double()),
                 static_cast<long double>(b.is_integer() ? b.as_int() : b.as_double()));
  }
  if (a.is(Value::Kind::kString) && b.is(Value::Kind::kString)) {
    // Bytes of UTF-8 are ordered as the characters are.
    KEDGE_RETURN_IF_ERROR(runtime.account()->StepBytes(std::min(a.text().size(), b.text().size())));
    return Holds(op, a.text().bytes(), b.text().bytes());
  }
  if (a.is(Value::Kind::kSequence) && b.is(Value::Kind::kSequence) && a.sequence().kind == b.sequence().kind &&
      a.sequence().kind <= Sequence::Kind::kTuple) {
    const std::vector<Value>& left = a.sequence().values;
    const std::vector<Value>& right = b.sequence().values;
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      KEDGE_RETURN_IF_ERROR(runtime.account()->Step());
      KEDGE_ASSIGN_OR_RETURN(const bool equal, Equal(runtime.account(), left[i], right[i]));
      if (!equal) return Order(runtime, op, left[i], right[i]);
    }
    return Holds(op, left.size(), right.size());
  }
  for (const Value* value : {&a, &b}) {
    if (value->is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value->undefined());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("`", Symbol(op), "` is not defined for a ", TypeName(a), " and a ", TypeName(b)));
}

absl::StatusOr<bool> Contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is(Value::Kind::kString)) {
    if (item.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(item.undefined());
    if (!item.is(Value::Kind::kString)) {
      return absl::InvalidArgumentError(absl::StrCat("`in` a string is not defined for a ", TypeName(item)));
    }
    // A search may compare all of the item at each place.
    KEDGE_RETURN_IF_ERROR(
        runtime.account()->StepBytes(container.text().size() * std::max<size_t>(item.text().size(), 1)));
    return absl::StrContains(container.text().bytes(), item.text().bytes());
  }
  if (container.is(Value::Kind::kDict)) {
    KEDGE_ASSIGN_OR_RETURN(const bool hashable, IsHashable(runtime.account(), item));
    if (!hashable) return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(item), " cannot be a key"));
    return container.members().Find(item) != nullptr;
  }
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(runtime.account(), container));
  const std::vector<Value>& values = items.sequence().values;
  KEDGE_RETURN_IF_ERROR(runtime.account()->Step(static_cast<int64_t>(values.size())));
  for (const Value& value : values) {
    KEDGE_ASSIGN_OR_RETURN(const bool equal, Equal(runtime.account(), value, item));
    if (equal) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<bool> Compare(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  switch (op) {
    case Operator::kEqual:
      return Equal(runtime.account(), a, b);
    case Operator::kNotEqual: {
      KEDGE_ASSIGN_OR_RETURN(const bool equal, Equal(runtime.account(), a, b));
      return !equal;
    }
    case Operator::kIn:
      return Contains(runtime, b, a);
    case Operator::kNotIn: {
      KEDGE_ASSIGN_OR_RETURN(const bool contains, Contains(runtime, b, a));
      return !contains;
    }
    default:
      return Order(runtime, op, a, b);
  }
}

}  // namespace kedge::jinja
