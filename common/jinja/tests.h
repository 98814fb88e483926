// What stands behind `is`.
#ifndef KEDGE_COMMON_JINJA_TESTS_H_
#define KEDGE_COMMON_JINJA_TESTS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/invocation.h"

namespace kedge::jinja {

struct Test {
  absl::string_view name;
  absl::string_view signature;  // see Bind
  absl::StatusOr<bool> (*call)(const Invocation& invocation);
};

// nullptr: there is none of this name.
const Test* FindTest(absl::string_view name);

absl::StatusOr<bool> CallTest(Runtime& runtime, const Test& test, const Value& value, const Arguments& arguments);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_TESTS_H_
