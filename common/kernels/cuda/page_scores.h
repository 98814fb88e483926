// A page's scores: its keys in shared memory, a row a lane, and for each query one chain over the head, or, of numbers
// with scales, one over each block. The order of CpuKernels::accumulate.
#ifndef KEDGE_COMMON_KERNELS_CUDA_PAGE_SCORES_H_
#define KEDGE_COMMON_KERNELS_CUDA_PAGE_SCORES_H_

#include <cstddef>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/pages.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// Elements from one key to the next in shared memory. An odd number of 16 bytes: lanes that read the same piece of 32
// rows meet each bank once.
template <typename T>
constexpr int KeyStride(int stride) {
  return (stride * static_cast<int>(sizeof(T)) / 16 | 1) * 16 / static_cast<int>(sizeof(T));
}

// Of a page's keys in shared memory: [kPageRows][KeyStride], and their scales.
template <typename T>
constexpr size_t KeyBytes(int stride, int head_dim) {
  return kPageRows * (KeyStride<T>(stride) * sizeof(T) + ScalesOfRow<T>(head_dim) * sizeof(__half));
}

// Starts copies of rows [seen.begin, seen.end) by threads [0, threads), of which the caller is `thread`.
template <typename T>
__device__ inline void CopyRowsAsync(const T* from, int stride, SeenRows seen, int thread, int threads, T* to,
                                     int to_stride) {
  constexpr int kPiece = 16 / sizeof(T);
  const int pieces = stride / kPiece, rows_at_once = threads / pieces, pieces_at_once = threads % pieces;
  int row = seen.begin + thread / pieces, piece = thread % pieces;
  while (row < seen.end) {
    CopyAsync(to + row * to_stride + piece * kPiece, from + row * stride + piece * kPiece);
    row += rows_at_once;
    piece += pieces_at_once;
    if (piece >= pieces) {
      piece -= pieces;
      ++row;
    }
  }
}

// The same of the scales, of all rows: those of rows that were never written are copied, and not used.
template <typename T>
__device__ inline void CopyScalesAsync(const __half* from, int head_dim, int thread, int threads, __half* to) {
  constexpr int kPiece = 16 / sizeof(__half);
  const int count = static_cast<int>(kPageRows) * ScalesOfRow<T>(head_dim);
  for (int i = thread * kPiece; i < count; i += threads * kPiece) CopyAsync(to + i, from + i);
}
// Both, of a page's keys.
template <typename T>
__device__ inline void CopyKeysAsync(T* from, int stride, int head_dim, SeenRows seen, int thread, int threads, T* to) {
  CopyRowsAsync(from, stride, seen, thread, threads, to, KeyStride<T>(stride));
  CopyScalesAsync<T>(ScalesBehind(from, stride), head_dim, thread, threads, ScalesBehind(to, KeyStride<T>(stride)));
}

// Scaled queries that one warp takes together lie [columns / 4][queries][4], so that all addresses are one and a
// constant.
template <int queries>
__device__ constexpr int QueryAt(int query, int column) {
  return (column / 4 * queries + query) * 4 + column % 4;
}
__device__ inline float QueryScale(int head_dim) { return 1.0f / sqrtf(static_cast<float>(head_dim)); }

// sums[q] += query q * key, of columns [column, end). `scaled`: the queries, by QueryAt.
template <typename T, int queries>
__device__ inline void AddProducts(const float* scaled, const T* key, int column, int end, float (&sums)[queries]) {
#pragma unroll 1
  for (; column + 8 <= end; column += 8) {
    float keys[8];
    LoadEight(key + column, keys);
    const float4* fours = reinterpret_cast<const float4*>(scaled + QueryAt<queries>(0, column));
#pragma unroll
    for (int q = 0; q < queries; ++q) {
      const float4 low = fours[q], high = fours[queries + q];
      sums[q] = __fmaf_rn(low.x, keys[0], sums[q]);
      sums[q] = __fmaf_rn(low.y, keys[1], sums[q]);
      sums[q] = __fmaf_rn(low.z, keys[2], sums[q]);
      sums[q] = __fmaf_rn(low.w, keys[3], sums[q]);
      sums[q] = __fmaf_rn(high.x, keys[4], sums[q]);
      sums[q] = __fmaf_rn(high.y, keys[5], sums[q]);
      sums[q] = __fmaf_rn(high.z, keys[6], sums[q]);
      sums[q] = __fmaf_rn(high.w, keys[7], sums[q]);
    }
  }
#pragma unroll 1
  for (; column < end; column += 2) {  // what lies behind head_dim has no meaning: it may be NaN
    const float2 pair = LoadPair(key + column);
#pragma unroll
    for (int q = 0; q < queries; ++q) {
      sums[q] = __fmaf_rn(scaled[QueryAt<queries>(q, column)], pair.x, sums[q]);
      sums[q] = __fmaf_rn(scaled[QueryAt<queries>(q, column + 1)], pair.y, sums[q]);
    }
  }
}

// scores[q] = query q * the key of row `row` of `keys`, as CopyKeysAsync lays them down.
template <typename T, int queries>
__device__ inline void ScoreKey(const float* scaled, T* keys, int stride, int row, int head_dim,
                                float (&scores)[queries]) {
#pragma unroll
  for (int q = 0; q < queries; ++q) scores[q] = 0;
  const T* key = keys + row * KeyStride<T>(stride);
  if constexpr (!kHasScales<T>) {
    AddProducts(scaled, key, 0, head_dim, scores);
  } else {
    const __half* scale = ScalesBehind(keys, KeyStride<T>(stride)) + row * ScalesOfRow<T>(head_dim);
    constexpr int kBlock = kScaleBlock;
#pragma unroll 1
    for (int begin = 0; begin < head_dim; begin += kBlock, ++scale) {
      float sums[queries] = {};
      AddProducts(scaled, key, begin, min(begin + kBlock, head_dim), sums);
#pragma unroll
      for (int q = 0; q < queries; ++q) scores[q] = __fmaf_rn(__half2float(*scale), sums[q], scores[q]);
    }
  }
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_PAGE_SCORES_H_
