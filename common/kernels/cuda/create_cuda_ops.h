// The backend on a device of this machine, or on one that is not there.
#ifndef KEDGE_COMMON_KERNELS_CUDA_CREATE_CUDA_OPS_H_
#define KEDGE_COMMON_KERNELS_CUDA_CREATE_CUDA_OPS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/kernels/ops.h"

namespace kedge::cuda {

// `device`: its number; `sharers`: processes that share it. kFailedPrecondition says in one line why it cannot be used
// (CreateDeviceRuntime). `threads` load weights.
absl::StatusOr<std::unique_ptr<Ops>> CreateDeviceOps(int device, int sharers, int threads);

// Small as a device, and its steps are short: one thread of the host does the work of all. For tests: the environment
// variable KEDGE_EMULATED_CALLS, a number, says after how many calls of its runtime the device is lost.
absl::StatusOr<std::unique_ptr<Ops>> CreateEmulatedOps(int threads);

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_CREATE_CUDA_OPS_H_
