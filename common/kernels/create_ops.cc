// Tested by create_ops_test.cc.
#include "common/kernels/create_ops.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/reference/reference_ops.h"

namespace kedge {

namespace {

std::string NameOf(InstructionSet set) { return absl::StrCat("cpu:", std::string(InstructionSetName(set))); }

}  // namespace

std::vector<std::string> Backends() {
  std::vector<std::string> names = {"cpu", "reference"};
  for (InstructionSet set : kInstructionSets) {
    if (IsAvailable(set)) names.push_back(NameOf(set));
  }
  return names;
}

bool ComputesOnGpu(absl::string_view backend) { return backend == "cuda"; }

absl::StatusOr<std::unique_ptr<Ops>> CreateOps(absl::string_view backend, int threads, const std::string& image_path,
                                               const std::function<void(const std::string&)>& image_notice) {
  CpuOptions options{.threads = threads, .image_path = image_path, .image_notice = image_notice};
  if (backend == "cpu") return CreateCpuOps(options);
  if (backend == "reference") return CreateReferenceOps();
  for (InstructionSet set : kInstructionSets) {
    if (backend != NameOf(set) || !IsAvailable(set)) continue;
    options.instruction_set = set;
    return CreateCpuOps(options);
  }
  return absl::InvalidArgumentError(absl::StrCat("backend: \"", backend, "\" is none that this machine has; those are ",
                                                 absl::StrJoin(Backends(), ", ")));
}

}  // namespace kedge
