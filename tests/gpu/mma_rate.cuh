// How many int8 products the tensor cores give to a loop out of registers, by the instruction that the exact class
// uses.
#ifndef KEDGE_TESTS_GPU_MMA_RATE_CUH_
#define KEDGE_TESTS_GPU_MMA_RATE_CUH_

#include "tests/gpu/exact_products.cuh"
#include "tests/gpu/probe.h"

namespace kedge::probe {

inline constexpr int kMmaThreads = 256;
inline constexpr int kMmaLoops = 2048;

// exact: each product of a block goes into float sums with a scale of its own, as the exact class has it; otherwise the
// integer sums run on.
template <bool exact>
__global__ void __launch_bounds__(kMmaThreads) MmaProducts(uint32_t x, float scale, float* out) {
  const uint32_t a[4] = {x * (threadIdx.x + 1), x + 1, x * 3, x ^ threadIdx.x};
  uint32_t b[8][2];
  int c[8][4] = {};
  float sums[8][4] = {};
  for (int i = 0; i < 8; ++i) b[i][0] = x + i, b[i][1] = x * (i + 5);
  for (int loop = 0; loop < kMmaLoops; ++loop) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if constexpr (exact) {  // the scales come from the sums, so that their products cannot be taken out of the loop
        MultiplyBlock(a, b[i], c[i]);
        AddBlock(c[i], scale, scale + 1, sums[i][0], sums[i][1], sums[i]);
      } else {
        asm volatile(
            "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+r"(c[i][0]), "+r"(c[i][1]), "+r"(c[i][2]), "+r"(c[i][3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[i][0]), "r"(b[i][1]));
      }
    }
  }
  float all = 0;
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 4; ++j) all += exact ? sums[i][j] : static_cast<float>(c[i][j]);
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}

inline int Multiprocessors() {
  int device = 0, count = 0;
  PROBE_CUDA(cudaGetDevice(&device));
  PROBE_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

// Operations per second; a multiply-add is two.
template <bool exact>
double MmaRate() {
  const int grid = 2 * Multiprocessors();  // all at once
  Buffer<float> out(size_t(grid) * kMmaThreads);
  const double seconds = MedianSeconds(5, [&](cudaStream_t stream) {
    MmaProducts<exact><<<grid, kMmaThreads, 0, stream>>>(0x01f20304, 1e-9f, out.data());
  });
  return static_cast<double>(out.size()) / 32 * kMmaLoops * 8 * (16 * 8 * 32 * 2) / seconds;
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_MMA_RATE_CUH_
