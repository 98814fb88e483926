// Tested by text_test.cc.
#include "common/jinja/account.h"

#include "absl/strings/str_cat.h"

namespace kedge::jinja {

absl::Status Account::Step(int64_t steps) {
  steps_ += steps;
  if (steps_ <= limits_.steps) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("the template takes more than ", limits_.steps, " steps"));
}

absl::Status Account::Check(size_t bytes) const {
  if (bytes <= limits_.memory_bytes && held_ <= limits_.memory_bytes - bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the template needs more than ", limits_.memory_bytes, " bytes of memory"));
}

absl::Status Account::Take(size_t bytes) {
  absl::Status status = Check(bytes);
  if (status.ok()) held_ += bytes;
  return status;
}

}  // namespace kedge::jinja
