// Keys and values in a few bits: number i of a block is scale * q[i], with q[i] from -S to S; S, the steps, is 127 of 8
// bits, 31 of 6 and 7 of 4. Here is the one definition of how they are rounded, in plain C++; kernels have the same bits
// by their own instructions.
//
// Rounded for each row and head by themselves, so that a row's bytes depend on nothing but the row. The scale is the
// largest magnitude / S, rounded up to a half: no number lies beyond S steps, and nothing is cut off, tiny numbers
// with subnormal scales included. Every q[i] is x[i] * (1 / scale), rounded to nearest even. A block with an infinity or
// a NaN, or whose scale is beyond the halves, has the scale infinity or NaN, and q of 0: such a row is a fault of its
// step (ops.h).
//
// In a row, numbers of 6 and 4 bits lie bit behind bit, from the lowest of a byte on; in pages they have 8 (PageType).
// Tested by rounded_blocks_test.cc.
#ifndef KEDGE_COMMON_KERNELS_ROUNDED_BLOCKS_H_
#define KEDGE_COMMON_KERNELS_ROUNDED_BLOCKS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/kernels/number_format.h"
#include "common/kernels/row_shape.h"

namespace kedge {

// largest: the bits of the largest magnitude. Bits of magnitudes are ordered as they are, infinity and NaN last.
inline uint16_t BlockScale(uint32_t largest, float steps) {
  if (largest > 0x7f800000u) return 0x7e00u;  // a NaN: of all, the same
  const float scale = std::bit_cast<float>(largest) / steps;
  const uint16_t half = ToHalf(scale);
  return FromHalf(half) < scale ? half + 1 : half;
}

// What numbers are multiplied with; 0 where all become 0.
inline float BlockInverse(uint16_t scale) { return scale == 0 || scale >= 0x7c00u ? 0.0f : 1.0f / FromHalf(scale); }

// Rounds numbers of at most kScaleBlock; returns their scale.
inline uint16_t RoundBlock(const float* x, int size, float steps, int8_t* out) {
  uint32_t largest = 0;
  for (int i = 0; i < size; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  const uint16_t scale = BlockScale(largest, steps);
  const float inverse = BlockInverse(scale);
  for (int i = 0; i < size; ++i) {
    // The last place of 1.5 * 2^23 is 1: adding it rounds, and its lowest byte is the integer's.
    out[i] = inverse == 0 ? 0 : static_cast<int8_t>(std::bit_cast<uint32_t>(x[i] * inverse + 12582912.0f));
  }
  return scale;
}

// One head's key or value as pages have it: `size` numbers in 8 bits, then their scales.
inline void RoundBlocks(const float* x, int size, float steps, uint8_t* out) {
  constexpr int kBlock = kScaleBlock;
  for (int i = 0; i < size; i += kBlock) {
    const uint16_t scale = RoundBlock(x + i, std::min(kBlock, size - i), steps, reinterpret_cast<int8_t*>(out) + i);
    std::memcpy(out + size + sizeof(scale) * (i / kBlock), &scale, sizeof(scale));
  }
}

// Scale `block` of a part of `size` numbers, as pages have it.
inline uint16_t BlockScaleAt(const void* part, size_t size, size_t block) {
  uint16_t scale;
  std::memcpy(&scale, static_cast<const uint8_t*>(part) + size + sizeof(scale) * block, sizeof(scale));
  return scale;
}

// From a part of a row [size] to one as pages have it, and back. REQUIRES: HasScales(type).
inline void UnpackPart(KvType type, KvPart part, uint32_t size, const uint8_t* row, uint8_t* page) {
  const uint32_t bits = KvBits(type, part), sign = 1u << (bits - 1), mask = 2 * sign - 1;
  const uint8_t* from = row;
  uint32_t held = 0, count = 0;  // bits that no number has taken yet
  for (uint32_t i = 0; i < size; ++i) {
    for (; count < bits; count += 8) held |= uint32_t{*from++} << count;
    page[i] = static_cast<uint8_t>(((held & mask) ^ sign) - sign);
    held >>= bits;
    count -= bits;
  }
  std::memcpy(page + size, from, PagePartBytes(type, size) - size);
}
inline void PackPart(KvType type, KvPart part, uint32_t size, const uint8_t* page, uint8_t* row) {
  const uint32_t bits = KvBits(type, part), mask = (1u << bits) - 1;
  uint8_t* to = row;
  uint32_t held = 0, count = 0;  // bits that no byte has taken yet
  for (uint32_t i = 0; i < size; ++i) {
    held |= (page[i] & mask) << count;
    for (count += bits; count >= 8; count -= 8, held >>= 8) *to++ = static_cast<uint8_t>(held);
  }
  if (count > 0) *to++ = static_cast<uint8_t>(held);
  std::memcpy(to, page + size, PagePartBytes(type, size) - size);
}

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_ROUNDED_BLOCKS_H_
