#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "common/kernels/cuda/tested_runtime.h"

namespace kedge::cuda {

absl::StatusOr<std::vector<std::unique_ptr<Runtime>>> NewTestedRuntimes() {
  std::vector<std::unique_ptr<Runtime>> runtimes;
  runtimes.push_back(CreateEmulatedRuntime({}));
  runtimes.push_back(CreateEmulatedRuntime({.seed = 1}));
  runtimes.push_back(CreateEmulatedRuntime({.seed = 2}));
  return runtimes;
}

const TestKernels& TestedKernels() { return EmulatedTestKernels(); }

}  // namespace kedge::cuda
