// The exp of the numerics class cpu-1 for kernels: the bits of common/kernels/cpu/exp.h.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EXP_H_
#define KEDGE_COMMON_KERNELS_CUDA_EXP_H_

#include "common/kernels/cpu/exp.h"
#include "common/kernels/cuda/device.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// ExpFloat, operation by operation: nvcc has no std::fma and no arrays of the host's.
template <int k>
__device__ inline float ExpSeries(float sum, float r) {
  if constexpr (k < 0) {
    return sum;
  } else {
    constexpr float kNext = exp_constants::kCoefficient[k];
    return ExpSeries<k - 1>(__fmaf_rn(sum, r, kNext), r);
  }
}
__device__ inline float Exp(float x) {
  namespace c = exp_constants;
  x = c::kLowest > x ? c::kLowest : x;
  x = c::kHighest < x ? c::kHighest : x;
  const float shifted = __fmaf_rn(x, c::kLog2E, c::kRoundToInteger);
  const float n = shifted - c::kRoundToInteger;
  const float r = __fmaf_rn(-n, c::kLn2Low, __fmaf_rn(-n, c::kLn2High, x));
  constexpr float kFirst = c::kCoefficient[7];
  return ExpSeries<6>(kFirst, r) * __uint_as_float((__float_as_uint(shifted) << 23) + 0x3f800000u);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_EXP_H_
