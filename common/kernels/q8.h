// Keys and values in 8 bits: number i of a block is scale * q[i], with q[i] from -127 to 127. Here is the one definition
// of how they are rounded, in plain C++; kernels have the same bits by their own instructions.
//
// Rounded for each row and head by themselves, so that a row's bytes depend on nothing but the row. The scale is the
// largest magnitude / 127, rounded up to a half: no number lies beyond 127 steps, and nothing is cut off, tiny numbers
// with subnormal scales included. Every q[i] is x[i] * (1 / scale), rounded to nearest even. A block with an infinity or
// a NaN, or whose scale is beyond the halves, has the scale infinity or NaN, and q of 0: such a row is a fault of its
// step (ops.h).
#ifndef KEDGE_COMMON_KERNELS_Q8_H_
#define KEDGE_COMMON_KERNELS_Q8_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/kernels/number_format.h"
#include "common/kernels/row_shape.h"

namespace kedge {

// largest: the bits of the largest magnitude. Bits of magnitudes are ordered as they are, infinity and NaN last.
inline uint16_t Q8Scale(uint32_t largest) {
  if (largest > 0x7f800000u) return 0x7e00u;  // a NaN: of all, the same
  const float scale = std::bit_cast<float>(largest) / 127.0f;
  const uint16_t half = ToHalf(scale);
  return FromHalf(half) < scale ? half + 1 : half;
}

// What numbers are multiplied with; 0 where all become 0.
inline float Q8Inverse(uint16_t scale) { return scale == 0 || scale >= 0x7c00u ? 0.0f : 1.0f / FromHalf(scale); }

// Rounds numbers of at most kScaleBlock; returns their scale.
inline uint16_t RoundQ8Block(const float* x, int size, int8_t* out) {
  uint32_t largest = 0;
  for (int i = 0; i < size; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  const uint16_t scale = Q8Scale(largest);
  const float inverse = Q8Inverse(scale);
  for (int i = 0; i < size; ++i) {
    // The last place of 1.5 * 2^23 is 1: adding it rounds, and its lowest byte is the integer's.
    out[i] = inverse == 0 ? 0 : static_cast<int8_t>(std::bit_cast<uint32_t>(x[i] * inverse + 12582912.0f));
  }
  return scale;
}

// One head's key or value, as a part of a row (row_shape.h).
inline void RoundQ8(const float* x, int size, uint8_t* out) {
  constexpr int kBlock = kScaleBlock;
  for (int i = 0; i < size; i += kBlock) {
    const uint16_t scale = RoundQ8Block(x + i, std::min(kBlock, size - i), reinterpret_cast<int8_t*>(out) + i);
    std::memcpy(out + size + sizeof(scale) * (i / kBlock), &scale, sizeof(scale));
  }
}

// Scale `block` of a part of `size` numbers.
inline uint16_t Q8ScaleAt(const void* part, size_t size, size_t block) {
  uint16_t scale;
  std::memcpy(&scale, static_cast<const uint8_t*>(part) + size + sizeof(scale) * block, sizeof(scale));
  return scale;
}

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_Q8_H_
