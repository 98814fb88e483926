// Renders a tree.
#ifndef KEDGE_COMMON_JINJA_EVALUATOR_H_
#define KEDGE_COMMON_JINJA_EVALUATOR_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/jinja/ast.h"
#include "common/jinja/object.h"
#include "common/jinja/scope.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// One rendering of one template. Owned by one thread, used once.
class Evaluator : public Runtime {
 public:
  // `tree` outlives it.
  Evaluator(const Tree& tree, const Limits& limits, absl::Time now);
  ~Evaluator() override;

  // REQUIRES: variables is a dict.
  absl::StatusOr<Text> Render(const Value& variables);

  // What a macro's body gives when it is called; `caller` (may be undefined) is the body of a `call`.
  absl::StatusOr<Value> RunMacro(const MacroDefinition& macro, Scope* outer, Arguments arguments);
  // A recursive loop over other items, as `loop(items)` asks for.
  absl::StatusOr<Value> RunLoop(const Statement& statement, Scope* outer, const Value& items, int depth);

  // A scope within another one, until the block ends; longer where a macro needs it.
  class Within;

 private:
  enum class Flow { kNext, kBreak, kContinue };

  absl::StatusOr<Flow> Execute(const Block& block, Scope* scope, TextBuilder& out);
  absl::StatusOr<Flow> ExecuteOne(const Statement& statement, Scope* scope, TextBuilder& out);
  absl::StatusOr<Flow> ExecuteIf(const Statement& statement, Scope* scope, TextBuilder& out);
  absl::StatusOr<Flow> ExecuteFor(const Statement& statement, Scope* scope, const Value& iterable, int depth,
                                  TextBuilder& out);
  absl::StatusOr<Flow> ExecuteSetBlock(const Statement& statement, Scope* scope);
  absl::StatusOr<Flow> ExecuteFilter(const Statement& statement, Scope* scope, TextBuilder& out);
  absl::StatusOr<Flow> ExecuteWith(const Statement& statement, Scope* scope, TextBuilder& out);
  absl::Status DefineMacro(const Statement& statement, Scope* scope);
  absl::Status ExecuteCall(const Statement& statement, Scope* scope, TextBuilder& out);
  absl::Status BindParameters(const MacroDefinition& macro, const Arguments& arguments, Scope* scope);
  absl::Status Print(const Value& value, TextBuilder& out);
  absl::Status Assign(const Target& target, const Value& value, Scope* scope);

  absl::StatusOr<Value> Evaluate(const Expression& expression, Scope* scope);
  absl::StatusOr<Value> EvaluateKind(const Expression& expression, Scope* scope);
  absl::StatusOr<Value> EvaluateSequence(const Expression& expression, Scope* scope);
  absl::StatusOr<Value> EvaluateDict(const Expression& expression, Scope* scope);
  absl::StatusOr<Value> EvaluateCompare(const Expression& expression, Scope* scope);
  absl::StatusOr<Value> EvaluateConcat(const Expression& expression, Scope* scope);
  absl::StatusOr<Value> EvaluateSlice(const Expression& expression, Scope* scope);
  absl::StatusOr<Value> EvaluateCall(const Expression& expression, Scope* scope, const Value* caller);
  // Filters of a block's body: `body` stands where the innermost one has no operand.
  absl::StatusOr<Value> EvaluateFilter(const Expression& expression, Scope* scope, const Value* body);
  absl::StatusOr<Value> EvaluateTest(const Expression& expression, Scope* scope);
  absl::StatusOr<Arguments> EvaluateArguments(const CallArguments& given, Scope* scope);
  absl::StatusOr<Value> Lookup(NameId name, Scope* scope);
  // Gives the name a value in this scope.
  absl::Status Set(NameId name, Value value, Scope* scope);

  // Says once in which line it happened.
  absl::Status At(int line, absl::Status status);

  // Names that one step pays to go through: most blocks have some.
  static constexpr size_t kNamesInAStep = 32;

  const Tree& tree_;
  std::vector<std::optional<Value>> globals_;  // by NameId: the caller's variables and the functions
  std::vector<std::unique_ptr<Scope>> captured_;
  bool placed_ = false;  // the error has its line
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_EVALUATOR_H_
