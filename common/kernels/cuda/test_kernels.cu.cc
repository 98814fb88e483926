#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/test_kernels.h"

namespace kedge::cuda {
namespace KEDGE_CUDA_TARGET {
namespace {

__global__ void SetKernel(int* at, int value) { *at = value; }

__global__ void AppendDigitKernel(int* at, int digit) { *at = *at * 10 + digit; }

__global__ void AppendDigitEarlyKernel(int* at, int digit) {
  StartNext();
  WaitForPrevious();
  *at = *at * 10 + digit;
}

// One block. Each thread writes its numbers, and reads those of its neighbour.
__global__ void SumInSharedKernel(int count, long long* sum) {
  int* numbers = reinterpret_cast<int*>(SharedMemory());
  for (int i = threadIdx.x; i < count; i += blockDim.x) numbers[i] = i;
  __syncthreads();
  long long own = 0;
  for (int i = (threadIdx.x + 1) % blockDim.x; i < count; i += blockDim.x) own += numbers[i];
  for (int m = 16; m > 0; m /= 2) own += __shfl_xor_sync(~0u, own, m);
  if (threadIdx.x == 0) *sum = own;
}

absl::Status Set(Stream& stream, int* at, int value) { return Launch(stream, {}, SetKernel, at, value); }

absl::Status AppendDigit(Stream& stream, int* at, int digit, bool early) {
  return Launch(stream, {.early = early}, early ? AppendDigitEarlyKernel : AppendDigitKernel, at, digit);
}

absl::Status SumInShared(Stream& stream, size_t bytes, long long* sum) {
  return Launch(stream, {.block = {32}, .shared_bytes = bytes}, SumInSharedKernel, bytes / sizeof(int), sum);
}

constexpr TestKernels kKernels = {.set = Set, .append_digit = AppendDigit, .sum_in_shared = SumInShared};

}  // namespace
}  // namespace KEDGE_CUDA_TARGET

#ifdef __CUDACC__
const TestKernels& DeviceTestKernels() { return kKernels; }
#else
const TestKernels& EmulatedTestKernels() { return kKernels; }
#endif

}  // namespace kedge::cuda
