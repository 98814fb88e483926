// Tested by create_ops_test.cc of common/kernels.
#include "common/kernels/cuda/create_cuda_ops.h"

#include <utility>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/kernels/cuda/cuda_ops.h"
#include "common/kernels/cuda/device_runtime.h"
#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "common/kernels/cuda/kernels.h"

namespace kedge::cuda {

absl::StatusOr<std::unique_ptr<Ops>> CreateDeviceOps(int device, int threads) {
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Runtime> runtime, CreateDeviceRuntime(device));
#ifdef KEDGE_WITH_CUDA
  return CreateCudaOps(std::move(runtime), DeviceKernels(), {.threads = threads});
#else
  return absl::FailedPreconditionError("built without CUDA");  // as CreateDeviceRuntime has said before
#endif
}

absl::StatusOr<std::unique_ptr<Ops>> CreateEmulatedOps(int threads) {
  return CreateCudaOps(CreateEmulatedRuntime({}), EmulatedKernels(),
                       {.threads = threads, .max_rows = 256, .step_target = absl::Milliseconds(150)});
}

}  // namespace kedge::cuda
