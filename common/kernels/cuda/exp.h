// The exps of the numerics class cpu-1 for kernels: the bits of common/kernels/cpu/exp.h and of ExpEach
// (common/kernels/elementary.h).
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

// Of one number of ExpEach, for x <= 0: products and sums alone.
__device__ inline double ExpDouble(double x) {
  constexpr double kLog2E = 1.4426950408889634, kRoundToInteger = 6755399441055744.0;
  constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Rest = 1.90821492927058770002e-10;
  x = x < -700 ? -700 : x;
  const double shifted = x * kLog2E + kRoundToInteger;
  const double n = shifted - kRoundToInteger;
  const double r = (x - n * kLn2High) - n * kLn2Rest;
  double sum = 1. / 479001600;
  sum = sum * r + 1. / 39916800;
  sum = sum * r + 1. / 3628800;
  sum = sum * r + 1. / 362880;
  sum = sum * r + 1. / 40320;
  sum = sum * r + 1. / 5040;
  sum = sum * r + 1. / 720;
  sum = sum * r + 1. / 120;
  sum = sum * r + 1. / 24;
  sum = sum * r + 1. / 6;
  sum = sum * r + 1. / 2;
  sum = sum * r + 1;
  sum = sum * r + 1;
  return sum * __longlong_as_double((__double_as_longlong(shifted) << 52) + 0x3ff0000000000000);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_EXP_H_
