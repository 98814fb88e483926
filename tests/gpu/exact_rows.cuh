// Twins of the scalar kernels that work within a row (common/kernels/cpu/scalar_elementwise.cc, exp.h). Where the CPU
// fuses, the twin says __fmaf_rn; where it does not, the twin has plain operators and counts on -fmad=false.
#ifndef KEDGE_TESTS_GPU_EXACT_ROWS_CUH_
#define KEDGE_TESTS_GPU_EXACT_ROWS_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "common/kernels/cuda/exp.h"
#include "common/kernels/cpu/panels.h"

namespace kedge::probe {

using cuda::Exp;

__device__ inline float Larger(float a, float b) { return a > b ? a : b; }

__device__ inline float SwiGlu(float up, float gate) { return gate / (1.0f + Exp(-gate)) * up; }

// Of the floats whose bits are first, first + 1, ...
__global__ void ExpOfBits(uint32_t first, float* out) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = Exp(__uint_as_float(first + i));
}
__global__ void HalfOfBits(uint32_t first, uint16_t* out) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = __half_as_ushort(__float2half_rn(__uint_as_float(first + i)));
}
__global__ void BFloat16OfBits(uint32_t first, uint16_t* out) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = __bfloat16_as_ushort(__float2bfloat16_rn(__uint_as_float(first + i)));
}
__global__ void SwiGluOfBits(uint32_t first, float up, float* out) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = SwiGlu(up, __uint_as_float(first + i));
}
__global__ void FloatOfHalves(float* out) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = __half2float(__ushort_as_half(static_cast<uint16_t>(i)));
}

// A block of threads a row; dynamic shared memory: the row. Eight threads hold the lanes of the tree and walk down
// the row one after another's elements: the order of the sums leaves no more than eight chains.
__global__ void RmsNorm(const float* x, const float* weight, float epsilon, int size, float* out) {
  extern __shared__ float row[];
  __shared__ float scale;
  x += size_t(blockIdx.x) * size;
  out += size_t(blockIdx.x) * size;
  for (int i = threadIdx.x; i < size; i += blockDim.x) row[i] = x[i];
  __syncthreads();
  if (threadIdx.x < 8) {
    float sum = 0;
#pragma unroll 16
    for (int i = threadIdx.x; i < size; i += 8) sum = __fmaf_rn(row[i], row[i], sum);
    for (int m = 4; m > 0; m /= 2) sum += __shfl_xor_sync(0xffu, sum, m);
    if (threadIdx.x == 0) scale = 1.0f / sqrtf(sum / static_cast<float>(size) + epsilon);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < size; i += blockDim.x) out[i] = row[i] * scale * weight[i];
}

// A thread a pair of columns; tables as CpuOps makes them, one row of them for each row of x.
__global__ void Rope(const float* cos, const float* sin, int pairs, float* x) {
  const size_t i = 2 * (size_t(blockIdx.x) * blockDim.x + threadIdx.x);
  if (i >= 2 * size_t(pairs)) return;
  const float even = x[i], odd = x[i + 1];
  x[i] = __fmaf_rn(even, cos[i], odd * sin[i]);
  x[i + 1] = __fmaf_rn(odd, cos[i + 1], even * sin[i + 1]);
}

// A warp a block of 32.
__global__ void QuantizeBlocks(const float* x, int blocks, QuantizedBlock* out) {
  const int b = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
  if (b >= blocks) return;
  const float value = x[size_t(b) * 32 + lane];
  float largest = fabsf(value);
  for (int m = 16; m > 0; m /= 2) {
    const float other = __shfl_xor_sync(~0u, largest, m);
    largest = other > largest ? other : largest;
  }
  const float inverse = largest > kSmallestQuantized ? 127.0f / largest : 0.0f;
  const float shifted = value * inverse + 12582912.0f;  // what the compiler would fuse
  const int8_t quant = static_cast<int8_t>(__float_as_uint(shifted) & 0xff);
  const int first = __reduce_add_sync(~0u, lane < 16 ? quant : 0);
  const int sum = __reduce_add_sync(~0u, static_cast<int>(quant));
  out[b].values[lane] = quant;
  if (lane != 0) return;
  out[b].scale = largest / 127.0f;
  out[b].scaled_sum = largest / 127.0f * static_cast<float>(sum);
  out[b].excess = -128 * sum;
  out[b].first_excess = -128 * first;
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_EXACT_ROWS_CUH_
