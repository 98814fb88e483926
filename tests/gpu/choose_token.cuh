// Which token comes next, where the logits are.
#ifndef KEDGE_TESTS_GPU_CHOOSE_TOKEN_CUH_
#define KEDGE_TESTS_GPU_CHOOSE_TOKEN_CUH_

#include <cstdint>

#include "tests/gpu/hopper.cuh"

namespace kedge::probe {

// Floats in their order, as numbers without a sign. No NaN.
__device__ inline uint32_t Ordered(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);  // no negative zero
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

// The first of the largest: best[row] = its Ordered value and, below, ~id. A grid of (parts, rows), 256 threads; best
// holds 0 before.
__global__ void ArgMax(const float* logits, int size, unsigned long long* best) {
  StartNext();
  WaitForPrevious();
  const float* row = logits + size_t(blockIdx.y) * size;
  unsigned long long mine = 0;
  for (int i = 4 * (blockIdx.x * blockDim.x + threadIdx.x); i < size; i += 4 * gridDim.x * blockDim.x) {
    const float4 v = *reinterpret_cast<const float4*>(row + i);
    const float four[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const unsigned long long candidate = uint64_t{Ordered(four[j])} << 32 | ~static_cast<uint32_t>(i + j);
      mine = candidate > mine ? candidate : mine;
    }
  }
  for (int m = 16; m > 0; m /= 2) {
    const unsigned long long other = __shfl_xor_sync(~0u, mine, m);
    mine = other > mine ? other : mine;
  }
  if (threadIdx.x % 32 == 0) atomicMax(&best[blockIdx.y], mine);
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_CHOOSE_TOKEN_CUH_
