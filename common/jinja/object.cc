// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/object.h"

#include "absl/strings/str_cat.h"

namespace kedge::jinja {

const Value* Arguments::Named(absl::string_view name) const {
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

absl::StatusOr<Value> Object::Call(Runtime& runtime, Arguments arguments) {
  return absl::InvalidArgumentError(absl::StrCat("a ", type(), " cannot be called"));
}

Runtime::~Runtime() = default;

absl::StatusOr<Value> Runtime::Call(const Value& callee, Arguments arguments) {
  if (callee.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(callee.undefined());
  if (!callee.is(Value::Kind::kObject) || !callee.object()->callable()) {
    return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(callee), " cannot be called"));
  }
  const DepthScope scope(*this);
  if (!scope.status().ok()) return scope.status();
  return callee.object()->Call(*this, std::move(arguments));
}

absl::Status Runtime::Enter() {
  if (depth_ >= account_.limits().depth) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the template nests more than ", account_.limits().depth, " expressions, blocks and calls"));
  }
  ++depth_;
  return absl::OkStatus();
}

}  // namespace kedge::jinja
