// CUDA's errors as statuses.
#ifndef KEDGE_COMMON_KERNELS_CUDA_CUDA_STATUS_H_
#define KEDGE_COMMON_KERNELS_CUDA_CUDA_STATUS_H_

#include <cuda_runtime_api.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kedge::cuda {

// "CALL: what CUDA says (cudaErrorName)", and the code that runtime.h has for it: kInternal for all that a device may
// not come back from. REQUIRES: error != cudaSuccess.
absl::Status CudaStatus(absl::string_view call, cudaError_t error);

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_CUDA_STATUS_H_
