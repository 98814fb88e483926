// The variable `loop` within a for loop.
#ifndef KEDGE_COMMON_JINJA_LOOP_H_
#define KEDGE_COMMON_JINJA_LOOP_H_

#include <functional>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/jinja/ast.h"
#include "common/jinja/object.h"
#include "common/jinja/scope.h"

namespace kedge::jinja {

class Evaluator;

// loop.index and its like. Kept by the rendering; the evaluator moves it from round to round.
class LoopObject : public Object {
 public:
  // Whether an item passes the loop's condition.
  using Condition = std::function<absl::StatusOr<bool>(const Value& item)>;

  // `outer`: the scope that the loop stands in. `items`: a sequence; `condition`: may be null; `depth`: 0 for a loop
  // that is not within itself.
  LoopObject(Evaluator* evaluator, const Statement& statement, Scope* outer, Value items, Condition condition,
             int depth);

  absl::string_view type() const override { return "LoopContext"; }
  bool callable() const override { return true; }
  // loop(items): the body for other items, where the loop is recursive.
  absl::StatusOr<Value> Call(Runtime& runtime, Arguments arguments) override;
  absl::StatusOr<std::optional<Value>> Attribute(absl::string_view name) override;

  // The first or next item; nullptr: there is none. A condition is asked no earlier than that, or than the template
  // asks what comes.
  absl::StatusOr<const Value*> Next();

 private:
  // loop.cycle(...) and loop.changed(...).
  class LoopMethod : public Object {
   public:
    LoopMethod(LoopObject* loop, bool cycles) : loop_(loop), cycles_(cycles) {}
    absl::string_view type() const override { return "method"; }
    bool callable() const override { return true; }
    absl::StatusOr<Value> Call(Runtime& runtime, Arguments arguments) override;

   private:
    LoopObject* loop_;
    const bool cycles_;
  };

  // Whether there is an item `index`.
  absl::StatusOr<bool> Has(size_t index);
  const Value& Item(size_t index) const;
  absl::StatusOr<int64_t> Length();

  Evaluator* evaluator_;
  const Statement& statement_;
  Scope* outer_;
  const Value items_;
  const Condition condition_;
  const int depth_;
  std::vector<size_t> passed_;  // with a condition: the items that passed it, of those before asked_
  size_t asked_ = 0;
  size_t rounds_ = 0;                       // begun
  std::optional<std::vector<Value>> last_;  // what changed() was given
  LoopMethod cycle_{this, true};
  LoopMethod changed_{this, false};
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_LOOP_H_
