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

float LoadFloat(const uint8_t* data) {
  float value;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

// The quant of input `k` of output `lane` in one block of a panel.
int Quant(PanelForm form, const uint8_t* quants, int lane, int k) {
  if (form == PanelForm::kBytes) return static_cast<int8_t>(quants[k / 4 * 64 + lane * 4 + k % 4]);
  if (!IsNibbles(form)) {
    return quants[k / 4 * 64 + lane * 4 + k % 4] - (form == PanelForm::kBytesTwoScales ? 32 : 0);
  }
  const uint8_t pair = quants[k % 16 / 4 * 64 + lane * 4 + k % 4];
  return (k < 16 ? pair & 15 : pair >> 4) - (form == PanelForm::kNibbles ? 8 : 0);
}

float FloatWeight(PanelForm form, const uint8_t* panel, size_t index) {
  if (form == PanelForm::kF32) return LoadFloat(panel + 4 * index);
  uint16_t bits;
  std::memcpy(&bits, panel + 2 * index, sizeof(bits));
  return form == PanelForm::kF16 ? FromHalf(bits) : FromBFloat16(bits);
}

// Number `index` of the scales and minima of one block.
float Scale(PanelForm form, const uint8_t* scales, int index) {
  return PanelScalesBytes(form) == 8 * kPanelOutputs ? LoadFloat(scales + 4 * index) : LoadHalf(scales + 2 * index);
}

}  // namespace

void QuantizeRow(const float* x, int inputs, QuantizedBlock* out) {
  for (int b = 0; b < inputs / 32; ++b, x += 32) {
    QuantizedBlock& block = out[b];
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
    block.scale = largest / 127.0f;
    const float inverse = largest > kSmallestQuantized ? 127.0f / largest : 0.0f;
    int32_t sums[2] = {};
    for (int i = 0; i < 32; ++i) {
      // Adding 1.5 * 2^23 rounds to an integer, to nearest even, and leaves it in the low bits.
      const float shifted = x[i] * inverse + 12582912.0f;
      block.values[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(shifted) & 0xff);
      sums[i / 16] += block.values[i];
    }
    block.scaled_sum = block.scale * static_cast<float>(sums[0] + sums[1]);
    block.excess = -128 * (sums[0] + sums[1]);
    block.first_excess = -128 * sums[0];
  }
}

void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next) {
  const int blocks = weights.inputs / 32;
  const PanelForm form = weights.form;
  const int parts = form == PanelForm::kBytesTwoScales ? 2 : 1;  // of a block, each with a scale
  for (int p = panel_begin; p < panel_end; ++p) {
    for (int r = 0; r < rows; ++r) {
      const uint8_t* scales = weights.data + p * weights.panel_bytes;
      const uint8_t* quants = scales + weights.quants;
      float sums[kPanelOutputs] = {};
      for (int b = 0; b < blocks; ++b, scales += PanelScalesBytes(form), quants += PanelQuantsBytes(form)) {
        const QuantizedBlock& block = x[size_t(r) * blocks + b];
        for (int lane = 0; lane < kPanelOutputs; ++lane) {
          for (int part = 0; part < parts; ++part) {
            int32_t product = 0;
            for (int k = part * 16; k < (part + 1) * 32 / parts; ++k) {
              product += Quant(form, quants, lane, k) * block.values[k];
            }
            const float scale = Scale(form, scales, part * kPanelOutputs + lane) * block.scale;
            sums[lane] = std::fma(static_cast<float>(product), scale, sums[lane]);
          }
          if (HasMinimum(form)) {
            sums[lane] = std::fma(Scale(form, scales, kPanelOutputs + lane), block.scaled_sum, sums[lane]);
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
          const float weight = FloatWeight(weights.form, panel, size_t(k) * kPanelOutputs + lane);
          sums[lane] = std::fma(weight, x[r * x_stride + k], sums[lane]);
        }
      }
      std::memcpy(out + r * out_stride + p * kPanelOutputs, sums, sizeof(sums));
    }
  }
}

}  // namespace kedge::scalar
