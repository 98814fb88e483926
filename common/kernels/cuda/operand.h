// How a kernel writes activations in 8 bits, as products take them.
#ifndef KEDGE_COMMON_KERNELS_CUDA_OPERAND_H_
#define KEDGE_COMMON_KERNELS_CUDA_OPERAND_H_

#include <cstdint>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/fragments.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// The 4 values that a thread has of one row, beginning with input `first`; eight neighbouring threads of a warp, from a
// multiple of 8 on, hold a block, and all of them call. `x`: OperandRows::quantized of rows of `columns`, a multiple of
// 32. The arithmetic of scalar::QuantizeRow (common/kernels/cpu).
__device__ inline void QuantizeFour(float4 v, int row, int first, int columns, uint8_t* x) {
  const uint32_t eight = 0xffu << threadIdx.x % 32 / 8 * 8;
  float largest = 0;
  const auto take = [&](float other) { largest = other > largest ? other : largest; };
  take(fabsf(v.x));
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
  uint8_t* chunk = x + (size_t(row / kGroup) * ChunksOf(columns) + first / kChunkInputs) * kRowChunkBytes;
  *reinterpret_cast<uint32_t*>(chunk + half * kRowHalf + CoreByte(row % 8, in_chunk)) = word;
  if (first % 32 != 0) return;
  const float scale = largest / 127.0f;
  const int at = in_chunk / 32 * 8 + row % 8;
  reinterpret_cast<float*>(chunk + half * kRowHalf + kRowScales)[at] = scale;
  reinterpret_cast<float*>(chunk + kRowSums)[half * kChunkBlocks * 8 + at] = scale * static_cast<float>(sum);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_OPERAND_H_
