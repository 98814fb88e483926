// The methods of strings, dicts, lists and tuples that templates may call: those that change nothing.
#ifndef KEDGE_COMMON_JINJA_METHODS_H_
#define KEDGE_COMMON_JINJA_METHODS_H_

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/jinja/invocation.h"

namespace kedge::jinja {

struct Method {
  absl::string_view name;
  absl::string_view signature;  // see Bind
  absl::StatusOr<Value> (*call)(const Invocation& invocation);
};

// nullptr: values of this type have no such method.
const Method* FindMethod(const Value& value, absl::string_view name);

absl::StatusOr<Value> CallMethod(Runtime& runtime, const Value& value, const Method& method,
                                 const Arguments& arguments);

// The methods of strings (string_methods.cc).
absl::Span<const Method> StringMethods();

// A method together with the value it belongs to: `x.strip` without a call.
class BoundMethod : public Object {
 public:
  BoundMethod(Value value, const Method* method) : value_(std::move(value)), method_(method) {}
  absl::string_view type() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }
  absl::StatusOr<Value> Call(Runtime& runtime, Arguments arguments) override {
    return CallMethod(runtime, value_, *method_, arguments);
  }

 private:
  const Value value_;
  const Method* method_;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_METHODS_H_
