#include "common/base/status.h"
#include "common/kernels/cuda/device_runtime.h"
#include "common/kernels/cuda/tested_runtime.h"

namespace kedge::cuda {

absl::StatusOr<std::vector<std::unique_ptr<Runtime>>> NewTestedRuntimes() {
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> runtime, CreateDeviceRuntime(0));
  std::vector<std::unique_ptr<Runtime>> runtimes;
  runtimes.push_back(std::move(runtime));
  return runtimes;
}

const TestKernels& TestedKernels() { return DeviceTestKernels(); }

}  // namespace kedge::cuda
