// Statements. Expressions are in evaluate_expression.cc.
// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/evaluator.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/jinja/functions.h"
#include "common/jinja/invocation.h"
#include "common/jinja/loop.h"
#include "common/jinja/print.h"

namespace kedge::jinja {
namespace {

// A macro, or the body of a `call`, where it was defined.
class MacroObject : public Object {
 public:
  MacroObject(Evaluator* evaluator, const MacroDefinition& macro, Scope* scope)
      : evaluator_(evaluator), macro_(macro), scope_(scope) {}
  absl::string_view type() const override { return "Macro"; }
  bool callable() const override { return true; }
  absl::StatusOr<Value> Call(Runtime& runtime, Arguments arguments) override {
    return evaluator_->RunMacro(macro_, scope_, std::move(arguments));
  }
  absl::StatusOr<std::optional<Value>> Attribute(absl::string_view name) override {
    if (name == "name") return Value::Text(macro_.name);
    return std::nullopt;
  }

 private:
  Evaluator* evaluator_;
  const MacroDefinition& macro_;
  Scope* scope_;
};

}  // namespace

class Evaluator::Within {
 public:
  Within(Evaluator* evaluator, Scope* outer) : evaluator_(evaluator), scope_(std::make_unique<Scope>(outer)) {}
  ~Within() {
    if (scope_->captured()) evaluator_->captured_.push_back(std::move(scope_));
  }
  Scope* get() const { return scope_.get(); }

 private:
  Evaluator* evaluator_;
  std::unique_ptr<Scope> scope_;
};

Evaluator::Evaluator(const Tree& tree, const Limits& limits, absl::Time now) : Runtime(limits, now), tree_(tree) {}

// What macros and namespaces refer to may refer back: everything is let go before anything ends.
Evaluator::~Evaluator() {
  for (const std::unique_ptr<Scope>& scope : captured_) scope->Clear();
  DropObjects();
}

absl::Status Evaluator::At(int line, absl::Status status) {
  if (status.ok() || placed_) return status;
  placed_ = true;
  if (status.GetPayload(kRaisedPayload).has_value()) return absl::Status(status.code(), status.message());
  return OfField(absl::StrCat("line ", line), status);
}

absl::StatusOr<Text> Evaluator::Render(const Value& variables) {
  KEDGE_CHECK(variables.is(Value::Kind::kDict));
  globals_.resize(tree_.names.size());
  for (size_t name = 0; name < tree_.names.size(); ++name) {
    if (const Value* value = variables.members().Find(tree_.names[name])) {
      globals_[name] = *value;
      continue;
    }
    for (const Function& function : Functions()) {
      if (function.name != tree_.names[name]) continue;
      KEDGE_ASSIGN_OR_RETURN(FunctionObject * object, Keep(std::make_unique<FunctionObject>(function)));
      globals_[name] = Value::FromObject(object);
    }
  }
  const Within root(this, nullptr);
  TextBuilder out(account());
  KEDGE_RETURN_IF_ERROR(Execute(tree_.body, root.get(), out).status());
  return out.Build();
}

absl::StatusOr<Evaluator::Flow> Evaluator::Execute(const Block& block, Scope* scope, TextBuilder& out) {
  const DepthScope depth(*this);
  KEDGE_RETURN_IF_ERROR(depth.status());
  for (const auto& statement : block) {
    absl::StatusOr<Flow> flow = ExecuteOne(*statement, scope, out);
    if (!flow.ok()) return At(statement->line, flow.status());
    if (*flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteOne(const Statement& statement, Scope* scope, TextBuilder& out) {
  KEDGE_RETURN_IF_ERROR(account()->Step());
  switch (statement.kind) {
    case Statement::Kind::kText:
      KEDGE_RETURN_IF_ERROR(Print(Value::String(statement.text), out));
      break;
    case Statement::Kind::kPrint: {
      KEDGE_ASSIGN_OR_RETURN(const Value value, Evaluate(*statement.expression, scope));
      KEDGE_RETURN_IF_ERROR(Print(value, out));
      break;
    }
    case Statement::Kind::kIf:
      return ExecuteIf(statement, scope, out);
    case Statement::Kind::kFor: {
      KEDGE_ASSIGN_OR_RETURN(const Value iterable, Evaluate(*statement.expression, scope));
      return ExecuteFor(statement, scope, iterable, 0, out);
    }
    case Statement::Kind::kSet: {
      KEDGE_ASSIGN_OR_RETURN(const Value value, Evaluate(*statement.expression, scope));
      KEDGE_RETURN_IF_ERROR(Assign(statement.targets[0], value, scope));
      break;
    }
    case Statement::Kind::kSetBlock:
      return ExecuteSetBlock(statement, scope);
    case Statement::Kind::kWith:
      return ExecuteWith(statement, scope, out);
    case Statement::Kind::kFilter:
      return ExecuteFilter(statement, scope, out);
    case Statement::Kind::kMacro:
      KEDGE_RETURN_IF_ERROR(DefineMacro(statement, scope));
      break;
    case Statement::Kind::kCall:
      KEDGE_RETURN_IF_ERROR(ExecuteCall(statement, scope, out));
      break;
    case Statement::Kind::kScope: {
      const Within inner(this, scope);
      return Execute(statement.bodies[0], inner.get(), out);
    }
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

absl::Status Evaluator::Print(const Value& value, TextBuilder& out) {
  KEDGE_RETURN_IF_ERROR(AppendText(value, out));
  if (out.size() <= account()->limits().output_bytes) return account()->Step();
  return absl::ResourceExhaustedError(
      absl::StrCat("the template writes more than ", account()->limits().output_bytes, " bytes of output"));
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteIf(const Statement& statement, Scope* scope, TextBuilder& out) {
  for (size_t i = 0; i < statement.bodies.size(); ++i) {
    if (i < statement.values.size()) {
      KEDGE_ASSIGN_OR_RETURN(const Value condition, Evaluate(*statement.values[i], scope));
      if (!IsTrue(condition)) continue;
    }
    return Execute(statement.bodies[i], scope, out);
  }
  return Flow::kNext;
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteFor(const Statement& statement, Scope* scope, const Value& iterable,
                                                      int depth, TextBuilder& out) {
  if (statement.recursive) scope->Capture();
  KEDGE_ASSIGN_OR_RETURN(Value items, Items(account(), iterable));
  LoopObject::Condition condition;
  if (statement.condition != nullptr) {
    condition = [this, &statement, scope](const Value& item) -> absl::StatusOr<bool> {
      const Within inner(this, scope);
      KEDGE_RETURN_IF_ERROR(Assign(statement.targets[0], item, inner.get()));
      KEDGE_ASSIGN_OR_RETURN(const Value passes, Evaluate(*statement.condition, inner.get()));
      return IsTrue(passes);
    };
    scope->Capture();
  }
  auto own = std::make_unique<LoopObject>(this, statement, scope, std::move(items), std::move(condition), depth);
  LoopObject* loop = own.get();
  // A template that knows the name may still hold `loop` when the loop has ended; elsewhere its items are let go.
  const NameId loop_name = tree_.Find("loop");
  if (loop_name >= 0) {
    KEDGE_ASSIGN_OR_RETURN(loop, Keep(std::move(own)));
  }
  bool any = false;
  while (true) {
    KEDGE_ASSIGN_OR_RETURN(const Value* item, loop->Next());
    if (item == nullptr) break;
    any = true;
    KEDGE_RETURN_IF_ERROR(account()->Step());
    const Within round(this, scope);
    if (loop_name >= 0) round.get()->Set(loop_name, Value::FromObject(loop));
    KEDGE_RETURN_IF_ERROR(Assign(statement.targets[0], *item, round.get()));
    KEDGE_ASSIGN_OR_RETURN(const Flow flow, Execute(statement.bodies[0], round.get(), out));
    if (flow == Flow::kBreak) break;
  }
  if (any || statement.bodies.size() < 2) return Flow::kNext;
  const Within otherwise(this, scope);
  return Execute(statement.bodies[1], otherwise.get(), out);
}

absl::StatusOr<Value> Evaluator::RunLoop(const Statement& statement, Scope* outer, const Value& items, int depth) {
  TextBuilder out(account());
  KEDGE_RETURN_IF_ERROR(ExecuteFor(statement, outer, items, depth, out).status());
  return AsString(out.Build());
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteSetBlock(const Statement& statement, Scope* scope) {
  TextBuilder out(account());
  {
    const Within inner(this, scope);
    KEDGE_ASSIGN_OR_RETURN(const Flow flow, Execute(statement.bodies[0], inner.get(), out));
    if (flow != Flow::kNext) return flow;
  }
  KEDGE_ASSIGN_OR_RETURN(Value value, AsString(out.Build()));
  if (statement.expression != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(value, EvaluateFilter(*statement.expression, scope, &value));
  }
  KEDGE_RETURN_IF_ERROR(Assign(statement.targets[0], value, scope));
  return Flow::kNext;
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteFilter(const Statement& statement, Scope* scope, TextBuilder& out) {
  const Within inner(this, scope);
  TextBuilder body(account());
  KEDGE_ASSIGN_OR_RETURN(const Flow flow, Execute(statement.bodies[0], inner.get(), body));
  if (flow != Flow::kNext) return flow;
  KEDGE_ASSIGN_OR_RETURN(const Value text, AsString(body.Build()));
  KEDGE_ASSIGN_OR_RETURN(const Value value, EvaluateFilter(*statement.expression, inner.get(), &text));
  KEDGE_RETURN_IF_ERROR(Print(value, out));
  return Flow::kNext;
}

absl::StatusOr<Evaluator::Flow> Evaluator::ExecuteWith(const Statement& statement, Scope* scope, TextBuilder& out) {
  const Within inner(this, scope);
  std::vector<Value> values;
  for (const ExpressionPtr& value : statement.values) {
    KEDGE_ASSIGN_OR_RETURN(values.emplace_back(), Evaluate(*value, scope));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    KEDGE_RETURN_IF_ERROR(Assign(statement.targets[i], values[i], inner.get()));
  }
  return Execute(statement.bodies[0], inner.get(), out);
}

absl::Status Evaluator::DefineMacro(const Statement& statement, Scope* scope) {
  scope->Capture();
  KEDGE_ASSIGN_OR_RETURN(MacroObject * macro, Keep(std::make_unique<MacroObject>(this, *statement.macro, scope)));
  return Set(statement.name, Value::FromObject(macro), scope);
}

absl::Status Evaluator::ExecuteCall(const Statement& statement, Scope* scope, TextBuilder& out) {
  scope->Capture();
  KEDGE_ASSIGN_OR_RETURN(MacroObject * body, Keep(std::make_unique<MacroObject>(this, *statement.macro, scope)));
  const Value caller = Value::FromObject(body);
  KEDGE_ASSIGN_OR_RETURN(const Value value, EvaluateCall(*statement.expression, scope, &caller));
  return Print(value, out);
}

absl::Status Evaluator::BindParameters(const MacroDefinition& macro, const Arguments& arguments, Scope* scope) {
  const size_t parameters = macro.parameters.size();
  if (arguments.positional.size() > parameters && !macro.takes_varargs) {
    return absl::InvalidArgumentError(absl::StrCat("the macro `", macro.name, "` takes ", parameters,
                                                   " arguments, not ", arguments.positional.size()));
  }
  KEDGE_RETURN_IF_ERROR(
      account()->Step(static_cast<int64_t>(parameters * (1 + arguments.named.size()) / kNamesInAStep)));
  Members others;
  for (const auto& [name, value] : arguments.named) {
    if (name == "caller" && macro.takes_caller) continue;
    const auto parameter = std::find(macro.parameters.begin(), macro.parameters.end(), tree_.Find(name));
    if (parameter != macro.parameters.end()) {
      const size_t index = parameter - macro.parameters.begin();
      if (index < arguments.positional.size()) {
        return absl::InvalidArgumentError(absl::StrCat("the macro `", macro.name, "` got `", name, "` twice"));
      }
      KEDGE_RETURN_IF_ERROR(Set(*parameter, value, scope));
    } else if (macro.takes_kwargs) {
      others.Set(Value::Text(name), value);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("the macro `", macro.name, "` has no argument `", name, "`"));
    }
  }
  if (macro.takes_caller) {
    const Value* caller = arguments.Named("caller");
    scope->Set(tree_.Find("caller"), caller != nullptr ? *caller : Value::Undefined("no caller is defined"));
  }
  if (macro.takes_kwargs) {
    KEDGE_ASSIGN_OR_RETURN(Value kwargs, Value::FromMembers(account(), std::move(others)));
    scope->Set(tree_.Find("kwargs"), std::move(kwargs));
  }
  if (macro.takes_varargs) {
    std::vector<Value> rest;
    for (size_t i = parameters; i < arguments.positional.size(); ++i) rest.push_back(arguments.positional[i]);
    KEDGE_ASSIGN_OR_RETURN(Value varargs, AsList(account(), std::move(rest), Sequence::Kind::kTuple));
    scope->Set(tree_.Find("varargs"), std::move(varargs));
  }
  for (size_t i = 0; i < parameters; ++i) {
    if (i < arguments.positional.size()) {
      KEDGE_RETURN_IF_ERROR(Set(macro.parameters[i], arguments.positional[i], scope));
      continue;
    }
    if (arguments.Named(tree_.names[macro.parameters[i]]) != nullptr) continue;
    const size_t first_default = parameters - macro.defaults.size();
    if (i >= first_default) {
      KEDGE_ASSIGN_OR_RETURN(Value value, Evaluate(*macro.defaults[i - first_default], scope));
      KEDGE_RETURN_IF_ERROR(Set(macro.parameters[i], std::move(value), scope));
    } else {
      KEDGE_RETURN_IF_ERROR(Set(macro.parameters[i],
                                Value::Undefined(absl::StrCat(
                                    "parameter '", Shortened(tree_.names[macro.parameters[i]]), "' was not provided")),
                                scope));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Value> Evaluator::RunMacro(const MacroDefinition& macro, Scope* outer, Arguments arguments) {
  const Within scope(this, outer);
  KEDGE_RETURN_IF_ERROR(BindParameters(macro, arguments, scope.get()));
  TextBuilder out(account());
  KEDGE_RETURN_IF_ERROR(Execute(macro.body, scope.get(), out).status());
  return AsString(out.Build());
}

absl::Status Evaluator::Assign(const Target& target, const Value& value, Scope* scope) {
  if (target.is_tuple) {
    KEDGE_ASSIGN_OR_RETURN(const Value items, Items(account(), value));
    const std::vector<Value>& values = items.sequence().values;
    if (values.size() != target.targets.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(target.targets.size(), " values are needed, there are ", values.size()));
    }
    for (size_t i = 0; i < values.size(); ++i) KEDGE_RETURN_IF_ERROR(Assign(target.targets[i], values[i], scope));
    return absl::OkStatus();
  }
  if (target.attribute.empty()) return Set(target.name, value, scope);
  KEDGE_ASSIGN_OR_RETURN(const Value holder, Lookup(target.name, scope));
  auto* names = holder.is(Value::Kind::kObject) ? dynamic_cast<Namespace*>(holder.object()) : nullptr;
  if (names == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", tree_.names[target.name], "` is no namespace: its attributes cannot be set"));
  }
  return names->Set(target.attribute, value);
}

absl::Status Evaluator::Set(NameId name, Value value, Scope* scope) {
  KEDGE_RETURN_IF_ERROR(account()->Step(static_cast<int64_t>(scope->size() / kNamesInAStep)));
  scope->Set(name, std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<Value> Evaluator::Lookup(NameId name, Scope* scope) {
  size_t looked_at = 0;
  const Value* value = scope->Find(name, looked_at);
  KEDGE_RETURN_IF_ERROR(account()->Step(static_cast<int64_t>(looked_at / kNamesInAStep)));
  if (value != nullptr) return *value;
  if (globals_[name].has_value()) return *globals_[name];
  return Value::Undefined(absl::StrCat("'", Shortened(tree_.names[name]), "' is undefined"));
}

}  // namespace kedge::jinja
