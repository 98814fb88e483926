// The functions that every template may call.
#ifndef KEDGE_COMMON_JINJA_FUNCTIONS_H_
#define KEDGE_COMMON_JINJA_FUNCTIONS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/jinja/invocation.h"

namespace kedge::jinja {

struct Function {
  absl::string_view name;
  absl::string_view signature;  // see Bind
  absl::StatusOr<Value> (*call)(const Invocation& invocation);
};

// jinja2's range, dict, namespace, cycler, joiner, and what transformers adds: raise_exception, strftime_now.
absl::Span<const Function> Functions();

// What `set` may change: the value of namespace(...).
class Namespace : public Object {
 public:
  absl::string_view type() const override { return "Namespace"; }
  absl::StatusOr<std::optional<Value>> Attribute(absl::string_view name) override;
  // kInvalidArgument: the name begins with an underscore.
  absl::Status Set(absl::string_view name, Value value);

 private:
  Members values_;
};

// A function as a value.
class FunctionObject : public Object {
 public:
  explicit FunctionObject(const Function& function) : function_(function) {}
  absl::string_view type() const override { return "function"; }
  bool callable() const override { return true; }
  absl::StatusOr<Value> Call(Runtime& runtime, Arguments arguments) override;

 private:
  const Function& function_;
};

// What raise_exception of a template says begins with it, as a payload of the status: the message is the template's
// own.
inline constexpr absl::string_view kRaisedPayload = "kedge.jinja/raised";

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_FUNCTIONS_H_
