// The variables of a block.
#ifndef KEDGE_COMMON_JINJA_SCOPE_H_
#define KEDGE_COMMON_JINJA_SCOPE_H_

#include <cstddef>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "common/jinja/ast.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// What a block, one round of a loop or one call of a macro sets; `outer` is what it stands in. Owned by the evaluator,
// which keeps a scope that a macro was defined in until the rendering ends.
class Scope {
 public:
  explicit Scope(Scope* outer) : outer_(outer) {}

  // nullptr: no scope up to the outermost has it. What was looked at on the way is added to `looked_at`.
  const Value* Find(NameId name, size_t& looked_at) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer_) {
      for (const auto& [id, value] : scope->values_) {
        ++looked_at;
        if (id == name) return &value;
      }
      ++looked_at;
    }
    return nullptr;
  }
  size_t size() const { return values_.size(); }

  void Set(NameId name, Value value) {
    for (auto& [id, old] : values_) {
      if (id != name) continue;
      old = std::move(value);
      return;
    }
    values_.emplace_back(name, std::move(value));
  }

  // A macro refers to it and to all around it.
  void Capture() {
    for (Scope* scope = this; scope != nullptr; scope = scope->outer_) scope->captured_ = true;
  }
  bool captured() const { return captured_; }
  void Clear() { values_.clear(); }

 private:
  Scope* const outer_;
  absl::InlinedVector<std::pair<NameId, Value>, 2> values_;
  bool captured_ = false;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_SCOPE_H_
