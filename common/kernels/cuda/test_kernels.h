// Kernels for tests of a runtime, whichever it is.
#ifndef KEDGE_COMMON_KERNELS_CUDA_TEST_KERNELS_H_
#define KEDGE_COMMON_KERNELS_CUDA_TEST_KERNELS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "common/kernels/cuda/runtime.h"

namespace kedge::cuda {

struct TestKernels {
  // *at = value.
  absl::Status (*set)(Stream& stream, int* at, int value);
  // *at = *at * 10 + digit.
  absl::Status (*append_digit)(Stream& stream, int* at, int digit, bool early);
  // *sum = 0 + 1 + .. + (bytes / 4 - 1), numbers that lie in so many bytes of shared memory.
  absl::Status (*sum_in_shared)(Stream& stream, size_t bytes, long long* sum);
};

const TestKernels& EmulatedTestKernels();
const TestKernels& DeviceTestKernels();  // with --config=cuda

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_TEST_KERNELS_H_
