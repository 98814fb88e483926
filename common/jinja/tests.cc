// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/tests.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/filters.h"
#include "common/jinja/operators.h"
#include "common/jinja/print.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

using Result = absl::StatusOr<bool>;
using Call = const Invocation&;

template <Value::Kind kind>
Result Is(Call call) {
  return call.subject.is(kind);
}

Result IsDefined(Call call) { return !call.subject.is(Value::Kind::kUndefined); }
Result IsNumber(Call call) { return call.subject.is_number(); }
Result IsTrueTest(Call call) { return call.subject.is(Value::Kind::kBool) && call.subject.as_bool(); }
Result IsFalseTest(Call call) { return call.subject.is(Value::Kind::kBool) && !call.subject.as_bool(); }
Result IsCallable(Call call) {
  if (call.subject.is(Value::Kind::kUndefined)) return true;  // it can be called: that is its error
  return call.subject.is(Value::Kind::kObject) && call.subject.object()->callable();
}
Result IsSameAs(Call call) {
  if (call.subject.is(Value::Kind::kString))
    KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(call.subject.text().size()));
  return call.subject.SameAs(*call.given[0]);
}
Result IsEscaped(Call call) { return call.subject.is_markup(); }

// Something with a length and items.
Result IsSequence(Call call) {
  switch (call.subject.kind()) {
    case Value::Kind::kUndefined:  // it has both, as jinja2 sees it
    case Value::Kind::kString:
    case Value::Kind::kDict:
      return true;
    case Value::Kind::kSequence:
      return call.subject.sequence().indexed();
    default:
      return false;
  }
}

Result IsIterable(Call call) {
  return call.subject.is(Value::Kind::kUndefined) || call.subject.is(Value::Kind::kString) ||
         call.subject.is(Value::Kind::kDict) || call.subject.is(Value::Kind::kSequence);
}

absl::StatusOr<Value> Remainder(Call call, const Value& divisor) {
  return Arithmetic(call.runtime, Operator::kModulo, call.subject, divisor);
}

template <int remainder>
Result HasRemainder(Call call) {
  KEDGE_ASSIGN_OR_RETURN(const Value rest, Remainder(call, Value::Int(2)));
  return Equal(call.account(), rest, Value::Int(remainder));
}

Result IsDivisible(Call call) {
  KEDGE_ASSIGN_OR_RETURN(const Value rest, Remainder(call, *call.given[0]));
  return Equal(call.account(), rest, Value::Int(0));
}

template <bool (*is)(char32_t)>
Result AllCased(Call call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, ToText(call.account(), call.subject));
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(text.size() / 16)));
  const absl::string_view bytes = text.bytes();
  bool any = false;
  for (size_t offset = 0; offset < bytes.size(); offset += CharacterLength(bytes[offset])) {
    const char32_t character = FirstCharacter(bytes.substr(offset));
    if (!IsCased(character)) continue;
    if (!is(character)) return false;
    any = true;
  }
  return any;
}

template <Operator op>
Result Compares(Call call) {
  return Compare(call.runtime, op, call.subject, *call.given[0]);
}

absl::Status CheckHashable(Account* account, const Value& name) {
  KEDGE_ASSIGN_OR_RETURN(const bool hashable, IsHashable(account, name));
  if (hashable) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(name), " is no name"));
}

// Whether a filter, a test of this name exists.
Result NamesFilter(Call call) {
  KEDGE_RETURN_IF_ERROR(CheckHashable(call.account(), call.subject));
  return call.subject.is(Value::Kind::kString) && FindFilter(call.subject.text().bytes()) != nullptr;
}
Result NamesTest(Call call) {
  KEDGE_RETURN_IF_ERROR(CheckHashable(call.account(), call.subject));
  return call.subject.is(Value::Kind::kString) && FindTest(call.subject.text().bytes()) != nullptr;
}

constexpr Test kTests[] = {
    {"!=", "other", &Compares<Operator::kNotEqual>},
    {"<", "other", &Compares<Operator::kLess>},
    {"<=", "other", &Compares<Operator::kLessOrEqual>},
    {"==", "other", &Compares<Operator::kEqual>},
    {">", "other", &Compares<Operator::kGreater>},
    {">=", "other", &Compares<Operator::kGreaterOrEqual>},
    {"boolean", "", &Is<Value::Kind::kBool>},
    {"callable", "", &IsCallable},
    {"defined", "", &IsDefined},
    {"divisibleby", "num", &IsDivisible},
    {"eq", "other", &Compares<Operator::kEqual>},
    {"equalto", "other", &Compares<Operator::kEqual>},
    {"escaped", "", &IsEscaped},
    {"even", "", &HasRemainder<0>},
    {"false", "", &IsFalseTest},
    {"filter", "", &NamesFilter},
    {"float", "", &Is<Value::Kind::kFloat>},
    {"ge", "other", &Compares<Operator::kGreaterOrEqual>},
    {"greaterthan", "other", &Compares<Operator::kGreater>},
    {"gt", "other", &Compares<Operator::kGreater>},
    {"in", "seq", &Compares<Operator::kIn>},
    {"integer", "", &Is<Value::Kind::kInt>},
    {"iterable", "", &IsIterable},
    {"le", "other", &Compares<Operator::kLessOrEqual>},
    {"lessthan", "other", &Compares<Operator::kLess>},
    {"lower", "", &AllCased<&IsLower>},
    {"lt", "other", &Compares<Operator::kLess>},
    {"mapping", "", &Is<Value::Kind::kDict>},
    {"ne", "other", &Compares<Operator::kNotEqual>},
    {"none", "", &Is<Value::Kind::kNone>},
    {"number", "", &IsNumber},
    {"odd", "", &HasRemainder<1>},
    {"sameas", "other", &IsSameAs},
    {"sequence", "", &IsSequence},
    {"string", "", &Is<Value::Kind::kString>},
    {"test", "", &NamesTest},
    {"true", "", &IsTrueTest},
    {"undefined", "", &Is<Value::Kind::kUndefined>},
    {"upper", "", &AllCased<&IsUpper>},
};

}  // namespace

const Test* FindTest(absl::string_view name) {
  static const auto* const table = [] {
    auto* map = new absl::flat_hash_map<absl::string_view, const Test*>();
    for (const Test& test : kTests) map->emplace(test.name, &test);
    return map;
  }();
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

absl::StatusOr<bool> CallTest(Runtime& runtime, const Test& test, const Value& value, const Arguments& arguments) {
  Invocation invocation{runtime, value, arguments, {}};
  KEDGE_RETURN_IF_ERROR(Bind(absl::StrCat("the test `", test.name, "`"), test.signature, invocation));
  return test.call(invocation);
}

}  // namespace kedge::jinja
