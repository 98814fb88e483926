// Tested by create_ops_test.cc of common/kernels.
#include "common/kernels/cuda/create_cuda_ops.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/kernels/cuda/cuda_ops.h"
#include "common/kernels/cuda/device_runtime.h"
#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "common/kernels/cuda/kernels.h"

namespace kedge::cuda {

absl::StatusOr<std::unique_ptr<Ops>> CreateDeviceOps(int device, int sharers, int threads) {
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Runtime> runtime, CreateDeviceRuntime(device));
#ifdef KEDGE_WITH_CUDA
  return CreateCudaOps(std::move(runtime), DeviceKernels(), {.threads = threads, .sharers = sharers});
#else
  return absl::FailedPreconditionError("built without CUDA");  // as CreateDeviceRuntime has said before
#endif
}

absl::StatusOr<std::unique_ptr<Ops>> CreateEmulatedOps(int threads) {
  EmulatedOptions options;
  const char* const calls = std::getenv("KEDGE_EMULATED_CALLS");
  if (int64_t left = 0; calls != nullptr && absl::SimpleAtoi(calls, &left)) {
    options.fault = [left = std::make_shared<std::atomic<int64_t>>(left)](absl::string_view) {
      return --*left >= 0 ? absl::OkStatus() : absl::InternalError("the device is lost");
    };
  }
  return CreateCudaOps(CreateEmulatedRuntime(std::move(options)), EmulatedKernels(),
                       {.threads = threads, .max_rows = 256, .step_target = absl::Milliseconds(150)});
}

}  // namespace kedge::cuda
