// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/loop.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/status.h"
#include "common/jinja/evaluator.h"

namespace kedge::jinja {

LoopObject::LoopObject(Evaluator* evaluator, const Statement& statement, Scope* outer, Value items, Condition condition,
                       int depth)
    : evaluator_(evaluator),
      statement_(statement),
      outer_(outer),
      items_(std::move(items)),
      condition_(std::move(condition)),
      depth_(depth) {}

absl::StatusOr<bool> LoopObject::Has(size_t index) {
  const std::vector<Value>& items = items_.sequence().values;
  if (condition_ == nullptr) return index < items.size();
  while (passed_.size() <= index && asked_ < items.size()) {
    const size_t candidate = asked_++;
    KEDGE_ASSIGN_OR_RETURN(const bool passes, condition_(items[candidate]));
    if (passes) passed_.push_back(candidate);
  }
  return index < passed_.size();
}

const Value& LoopObject::Item(size_t index) const {
  return items_.sequence().values[condition_ == nullptr ? index : passed_[index]];
}

absl::StatusOr<int64_t> LoopObject::Length() {
  const std::vector<Value>& items = items_.sequence().values;
  if (condition_ == nullptr) return static_cast<int64_t>(items.size());
  KEDGE_RETURN_IF_ERROR(Has(items.size()).status());
  return static_cast<int64_t>(passed_.size());
}

absl::StatusOr<const Value*> LoopObject::Next() {
  KEDGE_ASSIGN_OR_RETURN(const bool has, Has(rounds_));
  if (!has) return nullptr;
  return &Item(rounds_++);
}

absl::StatusOr<Value> LoopObject::Call(Runtime& runtime, Arguments arguments) {
  if (!statement_.recursive) {
    return absl::InvalidArgumentError("`loop` can be called only in a loop that is marked `recursive`");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return absl::InvalidArgumentError("loop() takes the items to go through");
  }
  return evaluator_->RunLoop(statement_, outer_, arguments.positional[0], depth_ + 1);
}

absl::StatusOr<std::optional<Value>> LoopObject::Attribute(absl::string_view name) {
  const int64_t index = static_cast<int64_t>(rounds_) - 1;
  if (name == "index") return Value::Int(index + 1);
  if (name == "index0") return Value::Int(index);
  if (name == "first") return Value::Bool(index == 0);
  if (name == "depth") return Value::Int(depth_ + 1);
  if (name == "depth0") return Value::Int(depth_);
  if (name == "cycle") return Value::FromObject(&cycle_);
  if (name == "changed") return Value::FromObject(&changed_);
  if (name == "previtem") return index <= 0 ? Value::Undefined("there is no previous item") : Item(index - 1);
  if (name == "last" || name == "nextitem") {
    KEDGE_ASSIGN_OR_RETURN(const bool has, Has(rounds_));
    if (name == "last") return Value::Bool(!has);
    return has ? Item(rounds_) : Value::Undefined("there is no next item");
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    KEDGE_ASSIGN_OR_RETURN(const int64_t length, Length());
    if (name == "length") return Value::Int(length);
    return Value::Int(length - index - (name == "revindex" ? 0 : 1));
  }
  return std::nullopt;
}

absl::StatusOr<Value> LoopObject::LoopMethod::Call(Runtime& runtime, Arguments arguments) {
  if (!arguments.named.empty()) return absl::InvalidArgumentError("a method of `loop` takes no named arguments");
  std::vector<Value>& given = arguments.positional;
  if (cycles_) {
    if (given.empty()) return absl::InvalidArgumentError("loop.cycle() has no items to cycle through");
    return given[(loop_->rounds_ - 1) % given.size()];
  }
  bool same = loop_->last_.has_value() && given.size() == loop_->last_->size();
  for (size_t i = 0; same && i < given.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(same, Equal(runtime.account(), given[i], (*loop_->last_)[i]));
  }
  loop_->last_ = std::move(given);
  return Value::Bool(!same);
}

}  // namespace kedge::jinja
