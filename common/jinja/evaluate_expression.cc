// Expressions, as Python evaluates what jinja2 makes of them.
// Tested by template_test.cc and jinja2_test.py.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/evaluator.h"
#include "common/jinja/filters.h"
#include "common/jinja/invocation.h"
#include "common/jinja/methods.h"
#include "common/jinja/operators.h"
#include "common/jinja/print.h"
#include "common/jinja/tests.h"

namespace kedge::jinja {

absl::StatusOr<Value> Evaluator::Evaluate(const Expression& expression, Scope* scope) {
  const DepthScope depth(*this);
  absl::Status status = depth.status();
  if (status.ok()) status = account()->Step();
  if (!status.ok()) return At(expression.line, std::move(status));
  absl::StatusOr<Value> value = EvaluateKind(expression, scope);
  if (!value.ok()) return At(expression.line, value.status());
  return value;
}

absl::StatusOr<Value> Evaluator::EvaluateKind(const Expression& expression, Scope* scope) {
  const auto operand = [&](size_t index) { return Evaluate(*expression.operands[index], scope); };
  switch (expression.kind) {
    case Expression::Kind::kConstant:
      return expression.constant;
    case Expression::Kind::kName:
      return Lookup(expression.name, scope);
    case Expression::Kind::kList:
    case Expression::Kind::kTuple:
      return EvaluateSequence(expression, scope);
    case Expression::Kind::kDict:
      return EvaluateDict(expression, scope);
    case Expression::Kind::kNegate: {
      KEDGE_ASSIGN_OR_RETURN(const Value value, operand(0));
      return Negate(value);
    }
    case Expression::Kind::kPlus: {
      KEDGE_ASSIGN_OR_RETURN(const Value value, operand(0));
      return Plus(value);
    }
    case Expression::Kind::kNot: {
      KEDGE_ASSIGN_OR_RETURN(const Value value, operand(0));
      return Value::Bool(!IsTrue(value));
    }
    case Expression::Kind::kAnd:
    case Expression::Kind::kOr: {
      KEDGE_ASSIGN_OR_RETURN(Value left, operand(0));
      if (IsTrue(left) == (expression.kind == Expression::Kind::kOr)) return left;
      return operand(1);
    }
    case Expression::Kind::kArithmetic: {
      KEDGE_ASSIGN_OR_RETURN(const Value left, operand(0));
      KEDGE_ASSIGN_OR_RETURN(const Value right, operand(1));
      return Arithmetic(*this, expression.operators[0], left, right);
    }
    case Expression::Kind::kConcat:
      return EvaluateConcat(expression, scope);
    case Expression::Kind::kCompare:
      return EvaluateCompare(expression, scope);
    case Expression::Kind::kConditional: {
      KEDGE_ASSIGN_OR_RETURN(const Value condition, operand(1));
      if (IsTrue(condition)) return operand(0);
      if (expression.operands[2] != nullptr) return operand(2);
      return Value::Undefined("the condition of an `if` without `else` was false");
    }
    case Expression::Kind::kAttribute: {
      KEDGE_ASSIGN_OR_RETURN(const Value value, operand(0));
      return GetAttribute(*this, value, expression.attribute);
    }
    case Expression::Kind::kItem: {
      KEDGE_ASSIGN_OR_RETURN(const Value value, operand(0));
      KEDGE_ASSIGN_OR_RETURN(const Value key, operand(1));
      return GetItem(*this, value, key);
    }
    case Expression::Kind::kSlice:
      return EvaluateSlice(expression, scope);
    case Expression::Kind::kCall:
      return EvaluateCall(expression, scope, nullptr);
    case Expression::Kind::kFilter:
      return EvaluateFilter(expression, scope, nullptr);
    case Expression::Kind::kTest:
      return EvaluateTest(expression, scope);
  }
  return absl::InternalError("unknown expression");
}

absl::StatusOr<Value> Evaluator::EvaluateSequence(const Expression& expression, Scope* scope) {
  std::vector<Value> values;
  for (const ExpressionPtr& operand : expression.operands) {
    KEDGE_ASSIGN_OR_RETURN(values.emplace_back(), Evaluate(*operand, scope));
  }
  return AsList(account(), std::move(values),
                expression.kind == Expression::Kind::kList ? Sequence::Kind::kList : Sequence::Kind::kTuple);
}

absl::StatusOr<Value> Evaluator::EvaluateDict(const Expression& expression, Scope* scope) {
  Members members;
  for (size_t i = 0; i < expression.operands.size(); i += 2) {
    KEDGE_ASSIGN_OR_RETURN(const Value key, Evaluate(*expression.operands[i], scope));
    KEDGE_ASSIGN_OR_RETURN(Value value, Evaluate(*expression.operands[i + 1], scope));
    KEDGE_ASSIGN_OR_RETURN(const bool hashable, IsHashable(account(), key));
    if (!hashable) return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(key), " cannot be a key"));
    members.Set(key, std::move(value));
  }
  return Value::FromMembers(account(), std::move(members));
}

absl::StatusOr<Value> Evaluator::EvaluateCompare(const Expression& expression, Scope* scope) {
  KEDGE_ASSIGN_OR_RETURN(Value left, Evaluate(*expression.operands[0], scope));
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(Value right, Evaluate(*expression.operands[i + 1], scope));
    KEDGE_ASSIGN_OR_RETURN(const bool holds, Compare(*this, expression.operators[i], left, right));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

absl::StatusOr<Value> Evaluator::EvaluateConcat(const Expression& expression, Scope* scope) {
  TextBuilder builder(account());
  std::vector<Value> values;
  for (const ExpressionPtr& operand : expression.operands) {
    KEDGE_ASSIGN_OR_RETURN(values.emplace_back(), Evaluate(*operand, scope));
  }
  for (const Value& value : values) KEDGE_RETURN_IF_ERROR(AppendText(value, builder));
  return AsString(builder.Build());
}

absl::StatusOr<Value> Evaluator::EvaluateSlice(const Expression& expression, Scope* scope) {
  KEDGE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expression.operands[0], scope));
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    const Expression* bound = expression.operands[i + 1].get();
    if (bound == nullptr) {
      bounds[i] = Value::None();
    } else {
      KEDGE_ASSIGN_OR_RETURN(bounds[i], Evaluate(*bound, scope));
    }
  }
  return GetSlice(*this, value, &bounds[0], &bounds[1], &bounds[2]);
}

absl::StatusOr<Value> Evaluator::EvaluateCall(const Expression& expression, Scope* scope, const Value* caller) {
  const Expression& callee = *expression.operands[0];
  // A method of a value is called without making an object of it.
  if (callee.kind == Expression::Kind::kAttribute && caller == nullptr) {
    KEDGE_ASSIGN_OR_RETURN(const Value value, Evaluate(*callee.operands[0], scope));
    if (const Method* method = FindMethod(value, callee.attribute)) {
      KEDGE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression.arguments, scope));
      return CallMethod(*this, value, *method, arguments);
    }
    KEDGE_ASSIGN_OR_RETURN(const Value function, GetAttribute(*this, value, callee.attribute));
    KEDGE_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expression.arguments, scope));
    return Call(function, std::move(arguments));
  }
  KEDGE_ASSIGN_OR_RETURN(const Value function, Evaluate(callee, scope));
  KEDGE_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expression.arguments, scope));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return Call(function, std::move(arguments));
}

absl::StatusOr<Value> Evaluator::EvaluateFilter(const Expression& expression, Scope* scope, const Value* body) {
  Value subject;
  const Expression* operand = expression.operands[0].get();
  if (operand == nullptr) {
    subject = *body;
  } else if (body != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(subject, EvaluateFilter(*operand, scope, body));
  } else {
    KEDGE_ASSIGN_OR_RETURN(subject, Evaluate(*operand, scope));
  }
  KEDGE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression.arguments, scope));
  return CallFilter(*this, *expression.filter, subject, arguments);
}

absl::StatusOr<Value> Evaluator::EvaluateTest(const Expression& expression, Scope* scope) {
  KEDGE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expression.operands[0], scope));
  KEDGE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression.arguments, scope));
  KEDGE_ASSIGN_OR_RETURN(const bool passes, CallTest(*this, *expression.test, value, arguments));
  return Value::Bool(passes);
}

absl::StatusOr<Arguments> Evaluator::EvaluateArguments(const CallArguments& given, Scope* scope) {
  Arguments arguments;
  for (const ExpressionPtr& value : given.positional) {
    KEDGE_ASSIGN_OR_RETURN(arguments.positional.emplace_back(), Evaluate(*value, scope));
  }
  for (const auto& [name, expression] : given.named) {
    KEDGE_ASSIGN_OR_RETURN(Value value, Evaluate(*expression, scope));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (given.more_positional != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(const Value more, Evaluate(*given.more_positional, scope));
    KEDGE_ASSIGN_OR_RETURN(const Value items, Items(account(), more));
    for (const Value& value : items.sequence().values) arguments.positional.push_back(value);
  }
  if (given.more_named != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(const Value more, Evaluate(*given.more_named, scope));
    if (!more.is(Value::Kind::kDict)) return absl::InvalidArgumentError("`**` needs a dict");
    for (const auto& [key, value] : more.members().values) {
      if (!key.is(Value::Kind::kString)) return absl::InvalidArgumentError("names of arguments must be strings");
      const std::string name(key.text().bytes());
      KEDGE_RETURN_IF_ERROR(account()->Step(static_cast<int64_t>(arguments.named.size() / kNamesInAStep)));
      if (arguments.Named(name) != nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("the argument `", name, "` is given twice"));
      }
      arguments.named.emplace_back(name, value);
    }
  }
  return arguments;
}

}  // namespace kedge::jinja
