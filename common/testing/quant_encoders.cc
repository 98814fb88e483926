// Tested by gguf_writer_test.cc; the layouts by common/kernels/dequantize_test.cc, against another reader's values.
#include "common/testing/quant_encoders.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/base/check.h"
#include "common/testing/gguf_writer.h"

namespace kedge {
namespace {

int Nearest(float value, float scale, int low, int high) {
  return scale == 0 ? std::clamp(0, low, high) : std::clamp(static_cast<int>(std::round(value / scale)), low, high);
}

std::string EncodeQ5(const float* values, bool has_minimum) {
  float scale, minimum;
  if (has_minimum) {
    const auto [low, high] = std::minmax_element(values, values + 32);
    scale = (*high - *low) / 31;
    minimum = *low;
  } else {
    const float* largest =
        std::max_element(values, values + 32, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    scale = *largest / -16;  // the end of the range that is one step longer
    minimum = -16 * scale;
  }
  std::string fifth(4, '\0'), nibbles(16, '\0');
  for (int i = 0; i < 32; ++i) {
    const int quant = Nearest(values[i] - minimum, scale, 0, 31);
    fifth[i / 8] |= static_cast<char>((quant >> 4) << (i % 8));
    nibbles[i % 16] |= static_cast<char>((quant & 15) << (i < 16 ? 0 : 4));
  }
  return RawBytes(FloatToHalf(scale)) + (has_minimum ? RawBytes(FloatToHalf(minimum)) : "") + fifth + nibbles;
}

// quant * scale - minimum, where scale = d * 6 bits and minimum = dmin * 6 bits for each 32 values.
std::string EncodeQ45K(const float* values, int levels) {
  float scales[8], minima[8];
  for (int b = 0; b < 8; ++b) {
    const auto [low, high] = std::minmax_element(values + 32 * b, values + 32 * b + 32);
    minima[b] = std::max(0.0f, -*low);
    scales[b] = (std::max(*high, 0.0f) + minima[b]) / static_cast<float>(levels);
  }
  const uint16_t d = FloatToHalf(*std::max_element(scales, scales + 8) / 63);
  const uint16_t dmin = FloatToHalf(*std::max_element(minima, minima + 8) / 63);
  uint8_t packed[12] = {}, fifth[32] = {}, nibbles[128] = {};
  for (int b = 0; b < 8; ++b) {
    const int scale = Nearest(scales[b], HalfToFloat(d), 0, 63);
    const int minimum = Nearest(minima[b], HalfToFloat(dmin), 0, 63);
    if (b < 4) {
      packed[b] |= scale;
      packed[b + 4] |= minimum;
    } else {
      packed[b + 4] |= (scale & 15) | (minimum & 15) << 4;
      packed[b - 4] |= scale >> 4 << 6;
      packed[b] |= minimum >> 4 << 6;
    }
    for (int i = 0; i < 32; ++i) {
      const float above = values[32 * b + i] + HalfToFloat(dmin) * static_cast<float>(minimum);
      const int quant = Nearest(above, HalfToFloat(d) * static_cast<float>(scale), 0, levels);
      nibbles[b / 2 * 32 + i] |= (quant & 15) << (b % 2 == 0 ? 0 : 4);
      fifth[i] |= (quant >> 4) << b;
    }
  }
  std::string bytes = RawBytes(d) + RawBytes(dmin) + std::string(packed, packed + 12);
  if (levels == 31) bytes.append(fifth, fifth + 32);
  return bytes + std::string(nibbles, nibbles + 128);
}

std::string EncodeQ6K(const float* values) {
  float scales[16];
  for (int b = 0; b < 16; ++b) {
    float largest = 0;
    for (int i = 0; i < 16; ++i) largest = std::max(largest, std::fabs(values[16 * b + i]));
    scales[b] = largest / 31;
  }
  const uint16_t d = FloatToHalf(*std::max_element(scales, scales + 16) / 127);
  uint8_t low[128] = {}, high[64] = {}, packed[16] = {};
  for (int i = 0; i < 256; ++i) {
    const int scale = Nearest(scales[i / 16], HalfToFloat(d), 0, 127);
    packed[i / 16] = static_cast<uint8_t>(scale);
    const int quant = Nearest(values[i], HalfToFloat(d) * static_cast<float>(scale), -32, 31) + 32;
    const int half = i / 128, b = i % 128 / 32, k = i % 32;
    low[64 * half + 32 * (b % 2) + k] |= (quant & 15) << (b < 2 ? 0 : 4);
    high[32 * half + k] |= (quant >> 4) << (2 * b);
  }
  return std::string(low, low + 128) + std::string(high, high + 64) + std::string(packed, packed + 16) + RawBytes(d);
}

}  // namespace

std::string EncodeBlock(TensorType type, const float* values) {
  switch (type) {
    case TensorType::kQ5_0:
      return EncodeQ5(values, false);
    case TensorType::kQ5_1:
      return EncodeQ5(values, true);
    case TensorType::kQ4_K:
      return EncodeQ45K(values, 15);
    case TensorType::kQ5_K:
      return EncodeQ45K(values, 31);
    default:
      KEDGE_CHECK(type == TensorType::kQ6_K);
      return EncodeQ6K(values);
  }
}

}  // namespace kedge
