// Tested by create_ops_test.cc.
#include "common/kernels/create_ops.h"

#include "absl/strings/str_cat.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/reference/reference_ops.h"

namespace kedge {

absl::StatusOr<std::unique_ptr<Ops>> CreateOps(absl::string_view backend, int threads, const std::string& image_path) {
  if (backend == "cpu") return CreateCpuOps({.threads = threads, .image_path = image_path});
  if (backend == "reference") return CreateReferenceOps();
  return absl::InvalidArgumentError(absl::StrCat("backend: \"", backend, "\" is unknown; known are cpu and reference"));
}

}  // namespace kedge
