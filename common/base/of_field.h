// Errors that begin with the name of what they are about.
#ifndef KEDGE_COMMON_BASE_OF_FIELD_H_
#define KEDGE_COMMON_BASE_OF_FIELD_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kedge {

// The status with "FIELD: " before its message; `field` is a field or a flag. OK stays OK.
inline absl::Status OfField(absl::string_view field, const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(field, ": ", status.message()));
}

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_OF_FIELD_H_
