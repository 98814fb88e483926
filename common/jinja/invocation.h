// What filters, tests, methods and functions are given, and how arguments find their parameters.
#ifndef KEDGE_COMMON_JINJA_INVOCATION_H_
#define KEDGE_COMMON_JINJA_INVOCATION_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/object.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// One call of something that is built in. Lives as long as the call.
struct Invocation {
  Runtime& runtime;
  const Value& subject;  // what is filtered, tested, or has the method
  const Arguments& arguments;
  std::vector<const Value*> given;  // by parameter; nullptr: not given

  Account* account() const { return runtime.account(); }
  bool Has(size_t parameter) const { return given[parameter] != nullptr; }
  bool HasValue(size_t parameter) const { return Has(parameter) && !given[parameter]->is(Value::Kind::kNone); }
  // As `if` sees it.
  bool Flag(size_t parameter, bool otherwise) const { return Has(parameter) ? IsTrue(*given[parameter]) : otherwise; }
  // kInvalidArgument: it is no integer, no string.
  absl::StatusOr<int64_t> Int(size_t parameter, int64_t otherwise) const;
  absl::StatusOr<Text> String(size_t parameter, absl::string_view otherwise = "") const;
};

// Sets `invocation.given` by a signature such as "old new count?": names of parameters, those with "?" may be left out.
// "*": the arguments stay as they are. kInvalidArgument: an argument too many, too few, or of no parameter.
absl::Status Bind(absl::string_view callee, absl::string_view signature, Invocation& invocation);

// A value from a text that may not have been built.
absl::StatusOr<Value> AsString(absl::StatusOr<Text> text);

// A list of `values`.
absl::StatusOr<Value> AsList(Account* account, std::vector<Value> values, Sequence::Kind kind = Sequence::Kind::kList);

// What `for` would go through: a sequence's values, a dict's keys, a string's characters, nothing of what is undefined.
// The result is a sequence whose values are all to be read. kInvalidArgument: it cannot be iterated.
absl::StatusOr<Value> Items(Account* account, const Value& value);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_INVOCATION_H_
