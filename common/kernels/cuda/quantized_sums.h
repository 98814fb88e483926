// A tensor core product's 16 x 8 sums in the chains of their outputs (device.h has who holds which).
#ifndef KEDGE_COMMON_KERNELS_CUDA_QUANTIZED_SUMS_H_
#define KEDGE_COMMON_KERNELS_CUDA_QUANTIZED_SUMS_H_

#include <cstdint>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/quantized_weights.h"
#include "common/kernels/cuda/segments.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// The integers of a block, as MultiplyBlock leaves them. Of weights with two scales, those of each 16 inputs.
template <WeightForm form>
struct BlockProducts {
  using Weights = QuantizedWeights<form>;
  int c[Weights::kHasTwoScales ? 2 : 1][4];

  // values: of 8 rows.
  __device__ void Multiply(const uint32_t (&quants)[4], uint32_t value0, uint32_t value1) {
    if constexpr (Weights::kHasTwoScales) {
      const uint32_t low[2] = {value0, 0}, high[2] = {0, value1};
      MultiplyBlock(quants, low, c[0]);
      MultiplyBlock(quants, high, c[1]);
    } else {
      const uint32_t both[2] = {value0, value1};
      MultiplyBlock(quants, both, c[0]);
    }
  }

  // w: of the thread's two outputs; scales and scaled sums of its two rows.
  __device__ void AddTo(const OutputScales<form> (&w)[2], int b, float2 scales, float2 row_sums,
                        float (&sums)[4]) const {
    AddBlock(c[0], w[0].First(b), w[1].First(b), scales, sums);
    if constexpr (Weights::kHasTwoScales) AddBlock(c[1], w[0].Second(b), w[1].Second(b), scales, sums);
    if constexpr (Weights::kHasMinimum) {
      sums[0] = __fmaf_rn(w[0].Second(b), row_sums.x, sums[0]);
      sums[1] = __fmaf_rn(w[0].Second(b), row_sums.y, sums[1]);
      sums[2] = __fmaf_rn(w[1].Second(b), row_sums.x, sums[2]);
      sums[3] = __fmaf_rn(w[1].Second(b), row_sums.y, sums[3]);
    }
  }

 private:
  __device__ static void AddBlock(const int (&c)[4], float a0, float a1, float2 b, float (&sums)[4]) {
    const float zero = __int_as_float(kSumAsFloat);
    sums[0] = __fmaf_rn(__int_as_float(c[0]) - zero, a0 * b.x, sums[0]);
    sums[1] = __fmaf_rn(__int_as_float(c[1]) - zero, a0 * b.y, sums[1]);
    sums[2] = __fmaf_rn(__int_as_float(c[2]) - zero, a1 * b.x, sums[2]);
    sums[3] = __fmaf_rn(__int_as_float(c[3]) - zero, a1 * b.y, sums[3]);
  }
};

// A thread's sums of a group's 16 outputs by 8 rows from `first_row` on.
__device__ inline void WriteSums(const float (&sums)[4], const Segment& segment, int group, int first_row, int rows) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = first_row + lane % 4 * 2 + i % 2;
    if (row < rows) segment.Write(row, group * kGroup + lane / 4 + i / 2 * 8, sums[i]);
  }
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_QUANTIZED_SUMS_H_
