// Tested by no_device_runtime_test.cc.
#include "absl/status/status.h"
#include "common/kernels/cuda/device_runtime.h"

namespace kedge::cuda {

constexpr char kWhy[] = "this Kedge was built without CUDA: build it with --config=cuda (see docs/gpu.md)";

CudaDescription DescribeCuda() { return {.why_none = kWhy}; }

absl::StatusOr<std::unique_ptr<Runtime>> CreateDeviceRuntime(int device) { return absl::FailedPreconditionError(kWhy); }

}  // namespace kedge::cuda
