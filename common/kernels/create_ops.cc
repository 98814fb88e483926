// Tested by create_ops_test.cc.
#include "common/kernels/create_ops.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/reference/reference_ops.h"

namespace kedge {

absl::StatusOr<std::unique_ptr<Ops>> CreateOps(absl::string_view backend, int threads, const std::string& image_path) {
  if (backend == "cpu") return CreateCpuOps({.threads = threads, .image_path = image_path});
  if (backend == "reference") return CreateReferenceOps();
  std::vector<std::string> known = {"cpu", "reference"};
  for (InstructionSet set : kInstructionSets) {
    if (!IsAvailable(set)) continue;
    known.push_back(absl::StrCat("cpu:", std::string(InstructionSetName(set))));
    if (backend != known.back()) continue;
    return CreateCpuOps({.threads = threads, .instruction_set = set, .image_path = image_path});
  }
  return absl::InvalidArgumentError(
      absl::StrCat("backend: \"", backend, "\" is none that this machine has; those are ", absl::StrJoin(known, ", ")));
}

}  // namespace kedge
