// The backend of CUDA devices, real or emulated.
#ifndef KEDGE_COMMON_KERNELS_CUDA_CUDA_OPS_H_
#define KEDGE_COMMON_KERNELS_CUDA_CUDA_OPS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/runtime.h"
#include "common/kernels/ops.h"

namespace kedge::cuda {

struct CudaOptions {
  int threads = 1;  // that pack weights while they are loaded
  uint32_t max_rows = 4096;
  absl::Duration step_target = absl::Milliseconds(25);
  int sharers = 1;  // processes that share the device, of which each takes as much memory
};

// Class "cpu-1": the CPU's bits, for prompt rows and generated rows alike. `kernels` are those of the runtime's device.
// A step is queued and waited for once; the next one may be queued before. After the first failure of the device every
// step ends with kUnavailable.
absl::StatusOr<std::unique_ptr<Ops>> CreateCudaOps(std::shared_ptr<Runtime> runtime, const Kernels& kernels,
                                                   const CudaOptions& options);

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_CUDA_OPS_H_
