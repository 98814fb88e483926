// Matrix products in the order of common/kernels/cpu/kernels.h: exact sums of int8 products over blocks of 32 inputs,
// and one chain of fused multiply-adds over the blocks of an output. One twin for all layouts of panels, which is
// simple, and two kernels in the shapes that a backend would have: a few rows, many rows.
#ifndef KEDGE_TESTS_GPU_EXACT_PRODUCTS_CUH_
#define KEDGE_TESTS_GPU_EXACT_PRODUCTS_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "common/kernels/cpu/panels.h"
#include "common/kernels/cuda/device.h"

namespace kedge::probe {

using namespace cuda;  // the words of device.h

// --- Panels as the CPU has them -------------------------------------------------------------------------------------

template <PanelForm form>
__device__ float PanelScale(const uint8_t* scales, int index) {
  if constexpr (PanelScalesBytes(form) == 8 * kPanelOutputs) {
    return reinterpret_cast<const float*>(scales)[index];
  } else {
    return __half2float(reinterpret_cast<const __half*>(scales)[index]);
  }
}

// A warp a panel and row: lane % 16 is the output, lane / 16 the half of each block.
template <PanelForm form>
__global__ void MultiplyPanels(const uint8_t* panels, size_t panel_bytes, size_t quants_offset, int blocks,
                               const QuantizedBlock* x, float* out) {
  const int output = threadIdx.x % 16, half = threadIdx.x / 16;
  const uint8_t* scales = panels + blockIdx.x * panel_bytes;
  const uint8_t* quants = scales + quants_offset;
  x += size_t(blockIdx.y) * blocks;
  float sum = 0;
  for (int b = 0; b < blocks; ++b, scales += PanelScalesBytes(form), quants += PanelQuantsBytes(form)) {
    int product = 0;
    for (int g = 0; g < 4; ++g) {
      const int group = IsNibbles(form) ? g : 4 * half + g;
      uint32_t word = reinterpret_cast<const uint32_t*>(quants)[group * 16 + output];
      if (IsNibbles(form)) word = (half == 0 ? word : word >> 4) & 0x0f0f0f0fu;
      if (form == PanelForm::kNibbles) word = __vsub4(word, 0x08080808u);
      if (form == PanelForm::kBytesTwoScales) word = __vsub4(word, 0x20202020u);
      product = __dp4a(static_cast<int>(word), reinterpret_cast<const int*>(x[b].values)[4 * half + g], product);
    }
    const int other = __shfl_xor_sync(~0u, product, 16);
    const float scale = PanelScale<form>(scales, output) * x[b].scale;
    if constexpr (form == PanelForm::kBytesTwoScales) {  // right in the lower half of the warp, which writes
      sum = __fmaf_rn(static_cast<float>(product), scale, sum);
      sum = __fmaf_rn(static_cast<float>(other), PanelScale<form>(scales, 16 + output) * x[b].scale, sum);
    } else {
      sum = __fmaf_rn(static_cast<float>(product + other), scale, sum);
    }
    if constexpr (HasMinimum(form)) sum = __fmaf_rn(PanelScale<form>(scales, 16 + output), x[b].scaled_sum, sum);
  }
  if (half == 0) out[(size_t(blockIdx.y) * gridDim.x + blockIdx.x) * 16 + output] = sum;
}

// Weights that are bfloat16: one chain over all inputs, a thread an output.
__global__ void MultiplyBFloat16(const uint16_t* panels, int inputs, const float* x, float* out) {
  const int output = threadIdx.x;
  panels += size_t(blockIdx.x) * inputs * 16;
  x += size_t(blockIdx.y) * inputs;
  float sum = 0;
  for (int k = 0; k < inputs; ++k) {
    sum = __fmaf_rn(__uint_as_float(uint32_t{panels[size_t(k) * 16 + output]} << 16), x[k], sum);
  }
  out[(size_t(blockIdx.y) * gridDim.x + blockIdx.x) * 16 + output] = sum;
}

// --- One row: Q8_0 as memory reads it best --------------------------------------------------------------------------

inline constexpr int kVectorWarps = 8;
inline constexpr int kVectorTermBytes = 16 * sizeof(float2);  // of dynamic shared memory, for each block of 32 inputs

// quants: [outputs / 16][blocks][half of the block][16 outputs][16 bytes]; scales: [outputs / 16][blocks][16]. Blocks
// of 16 outputs: the warps take the blocks of inputs in turn, for 512 bytes a load, and leave their exact sums and
// scales in shared memory; then 16 threads walk the chains.
__global__ void __launch_bounds__(32 * kVectorWarps) MultiplyRow(const int4* quants, const __half* scales, int blocks,
                                                                 const int8_t* x, const float* x_scales, float* out) {
  extern __shared__ float2 terms[];  // [blocks][16]: sum, scale
  const int lane = threadIdx.x % 32, output = lane % 16, half = lane / 16;
  quants += size_t(blockIdx.x) * blocks * 32;
  scales += size_t(blockIdx.x) * blocks * 16;
#pragma unroll 4
  for (int b = threadIdx.x / 32; b < blocks; b += kVectorWarps) {
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
  __syncthreads();
  if (threadIdx.x >= 16) return;
  float sum = 0;
#pragma unroll 16
  for (int b = 0; b < blocks; ++b) sum = __fmaf_rn(terms[b * 16 + output].x, terms[b * 16 + output].y, sum);
  out[blockIdx.x * 16 + output] = sum;
}

// --- Many rows: int8 tensor cores -----------------------------------------------------------------------------------

inline constexpr int kTile = 128;  // rows and outputs of a block of threads
inline constexpr int kTileK = 64;  // inputs at a time: two blocks
inline constexpr int kPitch = 80;  // bytes of a row of a tile: ldmatrix meets each bank once
inline constexpr int kStages = 4;

// A product's 16 x 8 sums in their chains: a0, a1 are scales of the 16, b0, b1 of the 8.
__device__ inline void AddBlock(const int (&c)[4], float a0, float a1, float b0, float b1, float (&sum)[4]) {
  sum[0] = __fmaf_rn(__int_as_float(c[0]) - 12582912.0f, a0 * b0, sum[0]);
  sum[1] = __fmaf_rn(__int_as_float(c[1]) - 12582912.0f, a0 * b1, sum[1]);
  sum[2] = __fmaf_rn(__int_as_float(c[2]) - 12582912.0f, a1 * b0, sum[2]);
  sum[3] = __fmaf_rn(__int_as_float(c[3]) - 12582912.0f, a1 * b1, sum[3]);
}

struct TileStage {
  int8_t x[kTile][kPitch], w[kTile][kPitch];
  float x_scales[2][kTile], w_scales[2][kTile];
};
inline constexpr int kTileBytes = kStages * sizeof(TileStage);  // of dynamic shared memory

// out [rows][outputs] = x [rows][inputs] * w [outputs][inputs]; scales: [inputs / 32][rows], [inputs / 32][outputs].
// REQUIRES: rows and outputs are multiples of 128, inputs of 64 and at least 192; blockDim.x is 256.
__global__ void __launch_bounds__(256, 2)
    MultiplyRows(const int8_t* x, const float* x_scales, const int8_t* w, const float* w_scales, int rows, int outputs,
                 int inputs, float* out) {
  extern __shared__ __align__(16) uint8_t memory[];
  TileStage* stages = reinterpret_cast<TileStage*>(memory);
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const int first_row = blockIdx.y * kTile, first_output = blockIdx.x * kTile;
  const auto load = [&](int tile) {
    TileStage& stage = stages[tile % kStages];
    for (int i = thread; i < kTile * 4; i += 256) {
      const int row = i / 4, piece = i % 4 * 16;
      CopyAsync(&stage.x[row][piece], x + size_t(first_row + row) * inputs + tile * kTileK + piece);
      CopyAsync(&stage.w[row][piece], w + size_t(first_output + row) * inputs + tile * kTileK + piece);
    }
    if (thread < 128) {
      const int block = thread % 64 / 32, piece = thread % 32 * 4;
      if (thread < 64) {
        CopyAsync(&stage.x_scales[block][piece], x_scales + size_t(2 * tile + block) * rows + first_row + piece);
      } else {
        CopyAsync(&stage.w_scales[block][piece], w_scales + size_t(2 * tile + block) * outputs + first_output + piece);
      }
    }
  };
  const int tiles = inputs / kTileK;
  for (int tile = 0; tile < kStages - 1; ++tile) {
    load(tile);
    CommitCopies();
  }
  const int row = warp / 4 * 64, output = warp % 4 * 32;  // of the warp, in the tile
  float sums[4][4][4] = {};                               // [16 rows][8 outputs][of a thread]
  for (int tile = 0; tile < tiles; ++tile) {
    WaitForCopies<kStages - 2>();
    __syncthreads();
    if (tile + kStages - 1 < tiles) load(tile + kStages - 1);
    CommitCopies();
    const TileStage& stage = stages[tile % kStages];
#pragma unroll
    for (int block = 0; block < 2; ++block) {
      uint32_t b[2][4];  // of two times 8 outputs each
      for (int n = 0; n < 2; ++n) {
        LoadFragments(&stage.w[output + n * 16 + lane / 16 * 8 + lane % 8][block * 32 + lane / 8 % 2 * 16], b[n]);
      }
      float2 w_scale[4];
      for (int n = 0; n < 4; ++n) {
        w_scale[n] = *reinterpret_cast<const float2*>(&stage.w_scales[block][output + n * 8 + lane % 4 * 2]);
      }
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        uint32_t a[4];
        LoadFragments(&stage.x[row + m * 16 + lane % 16][block * 32 + lane / 16 * 16], a);
        const float x0 = stage.x_scales[block][row + m * 16 + lane / 4];
        const float x1 = stage.x_scales[block][row + m * 16 + lane / 4 + 8];
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          int c[4];
          MultiplyBlock(a, &b[n / 2][n % 2 * 2], c);
          AddBlock(c, x0, x1, w_scale[n].x, w_scale[n].y, sums[m][n]);
        }
      }
    }
  }
  for (int m = 0; m < 4; ++m) {
    for (int n = 0; n < 4; ++n) {
      float* to =
          out + size_t(first_row + row + m * 16 + lane / 4) * outputs + first_output + output + n * 8 + lane % 4 * 2;
      *reinterpret_cast<float2*>(to) = {sums[m][n][0], sums[m][n][1]};
      *reinterpret_cast<float2*>(to + size_t{8} * outputs) = {sums[m][n][2], sums[m][n][3]};
    }
  }
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_EXACT_PRODUCTS_CUH_
