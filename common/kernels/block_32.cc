// The layouts are those of GGUF (ggml's block_q5_0 and so on). Bytes are read by memcpy: tensors need not be aligned.
// Tested by dequantize_test.cc.
#include "common/kernels/block_32.h"

#include <cstring>

#include "common/base/check.h"
#include "common/kernels/number_format.h"

namespace kedge {
namespace {

float HalfAt(const uint8_t* data) {
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return FromHalf(bits);
}

// f16 d, [f16 m,] 32 fifth bits, 16 bytes of nibbles: value i is the low nibble of byte i, value i + 16 the high one.
Block32 ReadQ5(const uint8_t* block, bool has_minimum) {
  Block32 out;
  const float d = HalfAt(block);
  out.scale[0] = out.scale[1] = d;
  out.minimum = has_minimum ? HalfAt(block + 2) : -16 * d;
  const uint8_t* high = block + (has_minimum ? 4 : 2);
  const uint8_t* nibbles = high + 4;
  for (int i = 0; i < 32; ++i) {
    const int low = nibbles[i % 16] >> (i < 16 ? 0 : 4) & 15;
    out.quants[i] = static_cast<int8_t>(low | (high[i / 8] >> (i % 8) & 1) << 4);
  }
  return out;
}

// f16 d, f16 dmin, 12 bytes with 8 scales and 8 minima of 6 bits, [32 bytes of fifth bits,] 128 bytes of nibbles: bytes
// 32 c to 32 c + 31 hold block 2c in their low nibbles and block 2c + 1 in their high ones; bit b of fifth-bit byte i
// is that of value i of block b.
Block32 ReadQ45K(const uint8_t* block, int index, bool has_fifth_bit) {
  const auto [scale, minimum] = ReadSixBits(block + 4, index);
  Block32 out;
  out.scale[0] = out.scale[1] = HalfAt(block) * static_cast<float>(scale);
  out.minimum = -HalfAt(block + 2) * static_cast<float>(minimum);
  const uint8_t* fifth = block + 16;
  const uint8_t* nibbles = fifth + (has_fifth_bit ? 32 : 0) + index / 2 * 32;
  for (int i = 0; i < 32; ++i) {
    int quant = nibbles[i] >> (index % 2 == 0 ? 0 : 4) & 15;
    if (has_fifth_bit) quant |= (fifth[i] >> index & 1) << 4;
    out.quants[i] = static_cast<int8_t>(quant);
  }
  return out;
}

// 128 bytes of low nibbles, 64 bytes of the two bits above them, 16 scales, f16 d, for two halves of 128 values each:
// of a half, block b (of 4) lies in nibbles (b < 2: low, else high) of bytes 32 (b % 2) to 32 (b % 2) + 31, and in bits
// 2b and 2b + 1 of 32 bytes.
Block32 ReadQ6K(const uint8_t* block, int index) {
  const int half = index / 4, b = index % 4;
  const uint8_t* low = block + 64 * half + 32 * (b % 2);
  const uint8_t* high = block + 128 + 32 * half;
  const uint8_t* scales = block + 192 + 2 * index;
  const float d = HalfAt(block + 208);
  Block32 out;
  out.scale[0] = d * static_cast<float>(static_cast<int8_t>(scales[0]));
  out.scale[1] = d * static_cast<float>(static_cast<int8_t>(scales[1]));
  out.minimum = 0;
  for (int i = 0; i < 32; ++i) {
    const int quant = (low[i] >> (b < 2 ? 0 : 4) & 15) | (high[i] >> (2 * b) & 3) << 4;
    out.quants[i] = static_cast<int8_t>(quant - 32);
  }
  return out;
}

}  // namespace

SixBits ReadSixBits(const uint8_t* packed, int index) {
  if (index < 4) return {packed[index] & 63, packed[index + 4] & 63};
  return {(packed[index + 4] & 15) | packed[index - 4] >> 6 << 4, packed[index + 4] >> 4 | packed[index] >> 6 << 4};
}

Block32 ReadBlock32(TensorType type, const uint8_t* row, size_t index) {
  const size_t per_block = BlockSize(type) / 32;
  const uint8_t* block = row + index / per_block * BlockBytes(type);
  const int inside = static_cast<int>(index % per_block);
  switch (type) {
    case TensorType::kQ5_0:
      return ReadQ5(block, false);
    case TensorType::kQ5_1:
      return ReadQ5(block, true);
    case TensorType::kQ4_K:
      return ReadQ45K(block, inside, false);
    case TensorType::kQ5_K:
      return ReadQ45K(block, inside, true);
    default:
      KEDGE_CHECK(type == TensorType::kQ6_K);
      return ReadQ6K(block, inside);
  }
}

}  // namespace kedge
