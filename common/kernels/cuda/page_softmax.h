// The softmax of a page's 32 rows, which are the lanes of a warp: the trees of scalar::SoftmaxPage as butterflies.
#ifndef KEDGE_COMMON_KERNELS_CUDA_PAGE_SOFTMAX_H_
#define KEDGE_COMMON_KERNELS_CUDA_PAGE_SOFTMAX_H_

#include <cmath>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/exp.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// The second where either is NaN. Which of several scores is taken then makes no difference: with one of them NaN, its
// own weight is, and so is the sum.
__device__ inline float Larger(float a, float b) { return a > b ? a : b; }

__device__ inline float LargestOfPage(float score) {
#pragma unroll
  for (int m = 16; m > 0; m /= 2) score = Larger(score, __shfl_xor_sync(~0u, score, m));
  return score;
}

__device__ inline float SumOfPage(float weight) {
  weight += __shfl_xor_sync(~0u, weight, 8);
  weight += __shfl_xor_sync(~0u, weight, 16);
#pragma unroll
  for (int m = 4; m > 0; m /= 2) weight += __shfl_xor_sync(~0u, weight, m);
  return weight;
}

// A softmax under way.
struct Softmax {
  float max = -INFINITY, sum = 0;
};
// Takes a page's scores into it. `weight` gets the row's weight, 0 where it is not seen; returns what values so far are
// multiplied with.
__device__ inline float TakePage(float score, bool is_seen, Softmax& softmax, float& weight) {
  const float before = softmax.max;
  softmax.max = Larger(LargestOfPage(is_seen ? score : -INFINITY), before);
  weight = is_seen ? Exp(score - softmax.max) : 0.0f;
  const float correction = Exp(before - softmax.max);
  softmax.sum = __fmaf_rn(softmax.sum, correction, SumOfPage(weight));
  return correction;
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_PAGE_SOFTMAX_H_
