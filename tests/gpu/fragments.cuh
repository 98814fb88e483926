// How threads write activations and take weights apart that lie as fragments.h has them.
#ifndef KEDGE_TESTS_GPU_FRAGMENTS_CUH_
#define KEDGE_TESTS_GPU_FRAGMENTS_CUH_

#include <cuda_fp16.h>

#include <cstdint>

#include "tests/gpu/fragments.h"
#include "tests/gpu/hopper.cuh"

namespace kedge::probe {

// The 4 values that a thread has of one row, beginning with input `first`; eight neighbouring threads of a warp, from a
// multiple of 8 on, hold a block. `x` is the activations of all rows. The arithmetic of scalar::QuantizeRow.
__device__ inline void QuantizeFour(float4 v, int row, int first, int inputs, uint8_t* x) {
  const uint32_t eight = 0xffu << threadIdx.x % 32 / 8 * 8;
  float largest = fabsf(v.x);
  const auto take = [&](float other) { largest = other > largest ? other : largest; };
  take(fabsf(v.y));
  take(fabsf(v.z));
  take(fabsf(v.w));
  for (int m = 4; m > 0; m /= 2) take(__shfl_xor_sync(eight, largest, m));
  const float inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;  // kSmallestQuantized
  const auto quant = [&](float value) { return __float_as_uint(value * inverse + 12582912.0f) & 0xff; };
  const uint32_t word = quant(v.x) | quant(v.y) << 8 | quant(v.z) << 16 | quant(v.w) << 24;
  int sum = __dp4a(static_cast<int>(word), 0x01010101, 0);
  for (int m = 4; m > 0; m /= 2) sum += __shfl_xor_sync(eight, sum, m);
  const int in_chunk = first % kChunkInputs, half = row % kGroup / 8;
  uint8_t* chunk = x + (size_t(row / kGroup) * (inputs / kChunkInputs) + first / kChunkInputs) * kRowChunkBytes;
  *reinterpret_cast<uint32_t*>(chunk + half * kRowHalf + CoreByte(row % 8, in_chunk)) = word;
  if (first % 32 != 0) return;
  const float scale = largest / 127.0f;
  const int at = in_chunk / 32 * 8 + row % 8;
  reinterpret_cast<float*>(chunk + half * kRowHalf + kRowScales)[at] = scale;
  reinterpret_cast<float*>(chunk + kRowSums)[half * kChunkBlocks * 8 + at] = scale * static_cast<float>(sum);
}

// --- A product's 16 x 8 sums in their chains: a0, a1 of the 16, b0, b1 of the 8 ---

__device__ inline void AddBlock(const int (&c)[4], float a0, float a1, float b0, float b1, float (&sum)[4]) {
  sum[0] = __fmaf_rn(__int_as_float(c[0]) - 12582912.0f, a0 * b0, sum[0]);
  sum[1] = __fmaf_rn(__int_as_float(c[1]) - 12582912.0f, a0 * b1, sum[1]);
  sum[2] = __fmaf_rn(__int_as_float(c[2]) - 12582912.0f, a1 * b0, sum[2]);
  sum[3] = __fmaf_rn(__int_as_float(c[3]) - 12582912.0f, a1 * b1, sum[3]);
}

__device__ inline void AddMinimum(float a0, float a1, float b0, float b1, float (&sum)[4]) {
  sum[0] = __fmaf_rn(a0, b0, sum[0]);
  sum[1] = __fmaf_rn(a0, b1, sum[1]);
  sum[2] = __fmaf_rn(a1, b0, sum[2]);
  sum[3] = __fmaf_rn(a1, b1, sum[3]);
}

// --- Weights, in shared memory ---

// What a thread holds of a chunk besides quants: of outputs l / 4 (half 0) and l / 4 + 8 (half 1).
struct WeightScales {
  float scale[2][kChunkBlocks];
  float minimum[2][kChunkBlocks];
};

struct Q8Weights {
  static constexpr bool kHasMinimum = false;
  static constexpr int kHalf = kQ8Half, kBytes = kQ8ChunkBytes;

  // The larger operand of a product, of block b.
  __device__ static void Load(const uint8_t* chunk, int lane, int b, uint32_t (&out)[4]) {
    LoadFragments(chunk + lane / 8 % 2 * kHalf + (2 * b + lane / 16) * kCoreBytes + lane % 8 * 16, out);
  }
  __device__ static void LoadScales(const uint8_t* chunk, int lane, WeightScales& out) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint2 four = *reinterpret_cast<const uint2*>(chunk + half * kHalf + kQ8Scales + lane / 4 * 8);
      const __half2* pairs = reinterpret_cast<const __half2*>(&four);
#pragma unroll
      for (int b = 0; b < kChunkBlocks; ++b) {
        out.scale[half][b] = b % 2 == 0 ? __low2float(pairs[b / 2]) : __high2float(pairs[b / 2]);
      }
    }
  }
};

struct Q4Weights {
  static constexpr bool kHasMinimum = true;
  static constexpr int kHalf = kQ4Half, kBytes = kQ4ChunkBytes;

  __device__ static void Load(const uint8_t* chunk, int lane, int b, uint32_t (&out)[4]) {
    LoadFragments(chunk + lane / 8 % 2 * kHalf + (b % 2 * 2 + lane / 16) * kCoreBytes + lane % 8 * 16, out);
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = out[i] >> b / 2 * 4 & 0x0f0f0f0fu;
  }
  __device__ static void LoadScales(const uint8_t* chunk, int lane, WeightScales& out) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t* words = reinterpret_cast<const uint32_t*>(chunk + half * kHalf + kQ4Scales + lane / 4 * 12);
      const uint32_t scales = words[0], minima = words[1];
      const __half2 factors = *reinterpret_cast<const __half2*>(words + 2);
#pragma unroll
      for (int b = 0; b < kChunkBlocks; ++b) {  // both products are exact: 11 bits by 6
        out.scale[half][b] = __low2float(factors) * static_cast<float>(scales >> 8 * b & 0xff);
        out.minimum[half][b] = -(__high2float(factors) * static_cast<float>(minima >> 8 * b & 0xff));
      }
    }
  }
};

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_FRAGMENTS_CUH_
