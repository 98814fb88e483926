// Kernels of the shapes that a backend has, for tests: a row by dp4a, tiles by int8 tensor cores, attention over pages.
// Their bits are those of the scalar kernels of the CPU (common/kernels/cpu/kernels.h). One of their parts can be left
// out or wrong: the emulated device has to find that.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_EXACT_KERNELS_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_EXACT_KERNELS_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/exp.h"
#include "common/kernels/step.h"

namespace kedge::cuda {

enum class Defect { kNone, kNoBarrier, kTwoBlocksStore, kNoWait, kNoWarpBarrier };

// --- One row: warps take blocks of inputs in turn and leave exact sums in shared memory, 16 threads walk the chains
// ---

inline constexpr int kRowWarps = 4;
inline constexpr size_t RowSharedBytes(int blocks) { return blocks * 16 * sizeof(float2); }

// quants: [outputs / 16][blocks][half of the block][16 outputs][16 bytes]; scales: [outputs / 16][blocks][16].
template <Defect defect>
__global__ void __launch_bounds__(32 * kRowWarps) MultiplyRow(const int4* quants, const __half* scales, int blocks,
                                                              const int8_t* x, const float* x_scales, float* out) {
  float2* terms = reinterpret_cast<float2*>(SharedMemory());  // [blocks][16]: sum, scale
  const int lane = threadIdx.x % 32, output = lane % 16, half = lane / 16;
  quants += size_t(blockIdx.x) * blocks * 32;
  scales += size_t(blockIdx.x) * blocks * 16;
#pragma unroll 4
  for (int b = threadIdx.x / 32; b < blocks; b += kRowWarps) {
    const int4 weights = __ldcs(&quants[size_t(b) * 32 + lane]);
    const int4 values = reinterpret_cast<const int4*>(x)[2 * b + half];
    int product = __dp4a(weights.x, values.x, 0);
    product = __dp4a(weights.y, values.y, product);
    product = __dp4a(weights.z, values.z, product);
    product = __dp4a(weights.w, values.w, product);
    product += __shfl_xor_sync(~0u, product, 16);
    if (half == 0) {
      terms[b * 16 + output] = {static_cast<float>(product), __half2float(scales[b * 16 + output]) * x_scales[b]};
    }
  }
  if (defect != Defect::kNoBarrier) __syncthreads();
  if (threadIdx.x >= 16) return;
  float sum = 0;
  for (int b = 0; b < blocks; ++b) sum = __fmaf_rn(terms[b * 16 + output].x, terms[b * 16 + output].y, sum);
  out[(defect == Defect::kTwoBlocksStore ? 0 : blockIdx.x) * 16 + output] = sum;
}

// --- Many rows: tiles of 16 rows by 32 outputs, a warp for 16 of them ---

inline constexpr int kTileRows = 16, kTileOutputs = 32, kTileInputs = 64;
struct TileStage {
  int8_t x[kTileRows][80], w[kTileOutputs][80];  // padded: ldmatrix meets each bank once
  float x_scales[2][kTileRows], w_scales[2][kTileOutputs];
};

// out [rows][outputs] = x [rows][inputs] * w [outputs][inputs]; scales: [inputs / 32][rows], [inputs / 32][outputs]. A
// grid of (outputs / 32, rows / 16), blocks of 64 threads.
template <Defect defect>
__global__ void MultiplyRows(const int8_t* x, const float* x_scales, const int8_t* w, const float* w_scales, int rows,
                             int outputs, int inputs, float* out) {
  TileStage* stages = reinterpret_cast<TileStage*>(SharedMemory());  // two
  const int thread = threadIdx.x, lane = thread % 32, output = thread / 32 * 16;
  const int first_row = blockIdx.y * kTileRows, first_output = blockIdx.x * kTileOutputs, tiles = inputs / kTileInputs;
  const auto load = [&](int tile) {
    TileStage& stage = stages[tile % 2];
    const int row = thread / 4, piece = thread % 4 * 16, from = tile * kTileInputs + piece;
    CopyAsync(&stage.x[row][piece], x + size_t(first_row + row) * inputs + from);
    CopyAsync(&stage.w[row][piece], w + size_t(first_output + row) * inputs + from);
    CopyAsync(&stage.w[16 + row][piece], w + size_t(first_output + 16 + row) * inputs + from);
    if (thread < 24) {
      const int block = thread / 12, four = thread % 12 * 4;
      if (four < kTileRows) {
        CopyAsync(&stage.x_scales[block][four], x_scales + size_t(2 * tile + block) * rows + first_row + four);
      } else {
        const int at = four - kTileRows;
        CopyAsync(&stage.w_scales[block][at], w_scales + size_t(2 * tile + block) * outputs + first_output + at);
      }
    }
    CommitCopies();
  };
  load(0);
  float sums[2][4] = {};  // [8 outputs][of a thread]
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) {
      load(tile + 1);
    } else {
      CommitCopies();
    }
    if (defect != Defect::kNoWait) WaitForCopies<1>();
    __syncthreads();
    const TileStage& stage = stages[tile % 2];
    for (int block = 0; block < 2; ++block) {
      uint32_t a[4], b[4];
      LoadFragments(&stage.x[lane % 16][block * 32 + lane / 16 * 16], a);
      LoadFragments(&stage.w[output + lane / 16 * 8 + lane % 8][block * 32 + lane / 8 % 2 * 16], b);
      for (int n = 0; n < 2; ++n) {
        int c[4];
        MultiplyBlock(a, &b[2 * n], c);
        for (int i = 0; i < 4; ++i) {
          const float x_scale = stage.x_scales[block][lane / 4 + i / 2 * 8];
          const float w_scale = stage.w_scales[block][output + n * 8 + lane % 4 * 2 + i % 2];
          sums[n][i] = __fmaf_rn(__int_as_float(c[i]) - 12582912.0f, w_scale * x_scale, sums[n][i]);
        }
      }
    }
    if (defect != Defect::kNoBarrier) __syncthreads();  // the stage is read: it may be filled again
  }
  for (int n = 0; n < 2; ++n) {
    for (int i = 0; i < 2; ++i) {
      float* to = out + size_t(first_row + lane / 4 + i * 8) * outputs + first_output + output + n * 8 + lane % 4 * 2;
      *reinterpret_cast<float2*>(to) = {sums[n][2 * i], sums[n][2 * i + 1]};
    }
  }
}

// --- Attention: a warp a head; a page's 32 rows are lanes for scores, then a lane holds columns of the values ---

inline constexpr int kHeadDim = 64;
struct HeadMemory {
  __half keys[kPageRows][kHeadDim + 8], values[kPageRows][kHeadDim];
  float scaled[kHeadDim];
};

__device__ inline float LargestOfWarp(float value) {
  for (int m = 16; m > 0; m /= 2) {
    const float other = __shfl_xor_sync(~0u, value, m);
    value = value > other ? value : other;
  }
  return value;
}

// queries, out: [heads][kHeadDim]; pages: [page][keys, values][row][dim]; of each, rows [0, ends[page]) are seen. A
// block of 32 threads a head.
template <Defect defect>
__global__ void Attend(const float* queries, const __half* pages, const int* ends, int page_count, float* out) {
  HeadMemory& memory = *reinterpret_cast<HeadMemory*>(SharedMemory());
  const int lane = threadIdx.x;
  const float scale = 1.0f / sqrtf(static_cast<float>(kHeadDim));
  for (int i = lane; i < kHeadDim; i += 32) memory.scaled[i] = queries[blockIdx.x * kHeadDim + i] * scale;
  float max = -INFINITY, sum = 0, values[2] = {};
  for (int page = 0; page < page_count; ++page) {
    const __half* from = pages + size_t(page) * 2 * kPageRows * kHeadDim;
    for (int i = lane; i < static_cast<int>(kPageRows) * kHeadDim / 8; i += 32) {
      const int row = i / (kHeadDim / 8), column = i % (kHeadDim / 8) * 8;
      CopyAsync(&memory.keys[row][column], from + i * 8);
      CopyAsync(&memory.values[row][column], from + kPageRows * kHeadDim + i * 8);
    }
    CommitCopies();
    WaitForCopies<0>();
    if (defect != Defect::kNoWarpBarrier) __syncwarp();
    float score = 0;
    for (int i = 0; i < kHeadDim; i += 8) {
      const int4 eight = *reinterpret_cast<const int4*>(&memory.keys[lane][i]);
      const __half2* keys = reinterpret_cast<const __half2*>(&eight);
      for (int j = 0; j < 4; ++j) {
        const float2 two = __half22float2(keys[j]);
        score = __fmaf_rn(memory.scaled[i + 2 * j], two.x, score);
        score = __fmaf_rn(memory.scaled[i + 2 * j + 1], two.y, score);
      }
    }
    const int end = ends[page];
    const float page_max = LargestOfWarp(lane < end ? score : -INFINITY), before = max;
    max = page_max > max ? page_max : max;
    const float weight = lane < end ? Exp(score - max) : 0.0f;
    float page_sum = weight + __shfl_xor_sync(~0u, weight, 8);
    page_sum += __shfl_xor_sync(~0u, page_sum, 16);
    for (int m = 4; m > 0; m /= 2) page_sum += __shfl_xor_sync(~0u, page_sum, m);
    const float correction = Exp(before - max);
    sum = __fmaf_rn(sum, correction, page_sum);
    for (float& value : values) value *= correction;
    for (int row = 0; row < end; ++row) {
      const float w = __shfl_sync(~0u, weight, row);
      const float2 two = __half22float2(*reinterpret_cast<const __half2*>(&memory.values[row][2 * lane]));
      values[0] = __fmaf_rn(w, two.x, values[0]);
      values[1] = __fmaf_rn(w, two.y, values[1]);
    }
    __syncwarp();  // the page is read: it may be overwritten
  }
  const float inverse = 1.0f / sum;
  *reinterpret_cast<float2*>(&out[blockIdx.x * kHeadDim + 2 * lane]) = {values[0] * inverse, values[1] * inverse};
}

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_EXACT_KERNELS_H_
