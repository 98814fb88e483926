// Which runtime runtime_test.cc tests: tested_emulated_runtime.cc or tested_device_runtime.cc, whichever is linked.
#ifndef KEDGE_COMMON_KERNELS_CUDA_TESTED_RUNTIME_H_
#define KEDGE_COMMON_KERNELS_CUDA_TESTED_RUNTIME_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/kernels/cuda/runtime.h"
#include "common/kernels/cuda/test_kernels.h"

namespace kedge::cuda {

// One for each order of work that is tested. An error where this machine has none.
absl::StatusOr<std::vector<std::unique_ptr<Runtime>>> NewTestedRuntimes();
const TestKernels& TestedKernels();

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_TESTED_RUNTIME_H_
