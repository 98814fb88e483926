// How kernels read and write rows of floats, four neighbours at a time and no further than a row's columns.
#ifndef KEDGE_COMMON_KERNELS_CUDA_FLOAT_ROWS_H_
#define KEDGE_COMMON_KERNELS_CUDA_FLOAT_ROWS_H_

#include <cstddef>

#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// The four from `from` on, aligned to 16 bytes, of which the first `left` are there; zeros for the others.
__device__ inline float4 LoadFour(const float* from, int left) {
  if (left >= 4) return *reinterpret_cast<const float4*>(from);
  return {left > 0 ? from[0] : 0, left > 1 ? from[1] : 0, left > 2 ? from[2] : 0, 0};
}
__device__ inline void StoreFour(float* to, int left, float4 v) {
  if (left >= 4) {
    *reinterpret_cast<float4*>(to) = v;
    return;
  }
  if (left > 0) to[0] = v.x;
  if (left > 1) to[1] = v.y;
  if (left > 2) to[2] = v.z;
}

// `column`: a multiple of 4.
__device__ inline float4 LoadFour(const FloatRows& x, int row, int column) {
  return LoadFour(x.data + size_t(row) * x.stride + column, x.columns - column);
}
__device__ inline void StoreFour(const FloatRows& x, int row, int column, float4 v) {
  StoreFour(x.data + size_t(row) * x.stride + column, x.columns - column, v);
}

__device__ inline float4 Sum(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_FLOAT_ROWS_H_
