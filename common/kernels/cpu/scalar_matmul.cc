// Matrix products in plain C++: each output is one chain over its inputs. Tested by kernels_test.cc.
#include <bit>
#include <cmath>
#include <cstring>

#include "common/base/check.h"
#include "common/kernels/cpu/panels.h"
#include "common/kernels/cpu/scalar.h"
#include "common/kernels/number_format.h"

namespace kedge::scalar {
namespace {

float LoadHalf(const uint8_t* data) {
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return FromHalf(bits);
}

// Weight `k` of output `lane` in the quants of one panel block.
int QuantizedWeight(TensorType type, const uint8_t* quants, int lane, int k) {
  if (type == TensorType::kQ8_0) return static_cast<int8_t>(quants[k / 4 * 64 + lane * 4 + k % 4]);
  const uint8_t pair = quants[k % 16 / 4 * 64 + lane * 4 + k % 4];
  return k < 16 ? pair & 15 : pair >> 4;
}

float FloatWeight(TensorType type, const uint8_t* panel, size_t index) {
  if (type == TensorType::kF32) {
    float value;
    std::memcpy(&value, panel + 4 * index, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, panel + 2 * index, sizeof(bits));
  return type == TensorType::kF16 ? FromHalf(bits) : FromBFloat16(bits);
}

}  // namespace

void QuantizeRow(const float* x, int inputs, QuantizedBlock* out) {
  for (int b = 0; b < inputs / 32; ++b, x += 32) {
    QuantizedBlock& block = out[b];
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
    block.scale = largest / 127.0f;
    const float inverse = largest > kSmallestQuantized ? 127.0f / largest : 0.0f;
    block.sum = 0;
    for (int i = 0; i < 32; ++i) {
      // Adding 1.5 * 2^23 rounds to an integer, to nearest even, and leaves it in the low bits.
      const float shifted = x[i] * inverse + 12582912.0f;
      block.values[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(shifted) & 0xff);
      block.sum += block.values[i];
    }
    block.scaled_sum = block.scale * static_cast<float>(block.sum);
    block.excess = -128 * block.sum;
  }
}

void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride) {
  const int blocks = weights.inputs / 32;
  const TensorType type = weights.type;
  for (int p = panel_begin; p < panel_end; ++p) {
    for (int r = 0; r < rows; ++r) {
      const uint8_t* halves = weights.data + p * weights.panel_bytes;
      const uint8_t* quants = halves + weights.quants;
      float sums[kPanelOutputs] = {};
      for (int b = 0; b < blocks; ++b, halves += PanelHalvesBytes(type), quants += PanelQuantsBytes(type)) {
        const QuantizedBlock& block = x[size_t(r) * blocks + b];
        for (int lane = 0; lane < kPanelOutputs; ++lane) {
          int32_t product = 0;
          for (int k = 0; k < 32; ++k) product += QuantizedWeight(type, quants, lane, k) * block.values[k];
          if (type == TensorType::kQ4_0) product -= 8 * block.sum;
          const float scale = LoadHalf(halves + 2 * lane) * block.scale;
          sums[lane] = std::fma(static_cast<float>(product), scale, sums[lane]);
          if (type == TensorType::kQ4_1) {
            sums[lane] = std::fma(LoadHalf(halves + 2 * kPanelOutputs + 2 * lane), block.scaled_sum, sums[lane]);
          }
        }
      }
      std::memcpy(out + r * out_stride + p * kPanelOutputs, sums, sizeof(sums));
    }
  }
}

void MultiplyFloat(const PanelView& weights, int panel_begin, int panel_end, const float* x, size_t x_stride, int rows,
                   float* out, size_t out_stride) {
  for (int p = panel_begin; p < panel_end; ++p) {
    const uint8_t* panel = weights.data + p * weights.panel_bytes;
    for (int r = 0; r < rows; ++r) {
      float sums[kPanelOutputs] = {};
      for (int k = 0; k < weights.inputs; ++k) {
        for (int lane = 0; lane < kPanelOutputs; ++lane) {
          const float weight = FloatWeight(weights.type, panel, size_t(k) * kPanelOutputs + lane);
          sums[lane] = std::fma(weight, x[r * x_stride + k], sums[lane]);
        }
      }
      std::memcpy(out + r * out_stride + p * kPanelOutputs, sums, sizeof(sums));
    }
  }
}

}  // namespace kedge::scalar
