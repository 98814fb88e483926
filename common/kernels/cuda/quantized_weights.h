// How threads take quantised weights apart that lie in shared memory as weight_layout.h has them.
#ifndef KEDGE_COMMON_KERNELS_CUDA_QUANTIZED_WEIGHTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_QUANTIZED_WEIGHTS_H_

#include <cstdint>
#include <type_traits>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/weight_layout.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// An output's numbers of a chunk, as they lie there. Of block b, which the compiler knows: First is the scale, or that
// of the first 16 inputs; Second the minimum, or the scale of the last 16 inputs, where there is such a thing.
template <WeightForm form>
struct OutputScales {
  static constexpr int kWords = ScalesBytes(form) / 4;
  uint32_t words[kWords];

  __device__ float First(int b) const {
    if constexpr (form == WeightForm::kNibblesPacked) return Half(kChunkBlocks) * Byte(b);  // exact: 11 bits by 6
    if constexpr (kWords == 2 * kChunkBlocks) return __uint_as_float(words[b]);
    return Half(b);
  }
  __device__ float Second(int b) const {
    if constexpr (form == WeightForm::kNibblesPacked) return -(Half(kChunkBlocks + 1) * Byte(kChunkBlocks + b));
    if constexpr (kWords == 2 * kChunkBlocks) return __uint_as_float(words[kChunkBlocks + b]);
    return Half(kChunkBlocks + b);
  }

 private:
  __device__ float Half(int i) const {
    return __half2float(__ushort_as_half(static_cast<uint16_t>(words[i / 2] >> i % 2 * 16)));
  }
  __device__ float Byte(int i) const { return static_cast<float>(words[i / 4] >> i % 4 * 8 & 0xff); }
};

template <WeightForm form>
struct QuantizedWeights {
  static constexpr bool kHasMinimum = HasMinimum(form);
  static constexpr bool kHasTwoScales = form == WeightForm::kBytesTwoScales;
  static constexpr int kHalf = HalfBytes(form), kBytes = ChunkBytes(form);

  // The larger operand of a product, of block b of a chunk.
  __device__ static void Load(const uint8_t* chunk, int lane, int b, uint32_t (&out)[4]) {
    const int core = 2 * (IsNibbles(form) ? b % 2 : b) + lane / 16;
    LoadFragments(chunk + lane / 8 % 2 * kHalf + core * kCoreBytes + lane % 8 * 16, out);
    if constexpr (IsNibbles(form)) {
#pragma unroll
      for (uint32_t& word : out) {
        word = word >> b / 2 * 4 & 0x0f0f0f0fu;
        if constexpr (form == WeightForm::kNibbles) word = (word + 0x78787878u) ^ 0x80808080u;  // - 8, byte by byte
      }
    }
  }

  // Of output `output` of the chunk's 16.
  __device__ static OutputScales<form> LoadScales(const uint8_t* chunk, int output) {
    using Scales = OutputScales<form>;
    const uint8_t* from = chunk + output / 8 * kHalf + QuantsBytes(form) + output % 8 * ScalesBytes(form);
    Scales out;
    if constexpr (Scales::kWords % 4 == 0) {
#pragma unroll
      for (int i = 0; i < Scales::kWords; i += 4) {
        const uint4 four = reinterpret_cast<const uint4*>(from)[i / 4];
        out.words[i] = four.x, out.words[i + 1] = four.y, out.words[i + 2] = four.z, out.words[i + 3] = four.w;
      }
    } else {
#pragma unroll
      for (int i = 0; i < Scales::kWords; ++i) out.words[i] = reinterpret_cast<const uint32_t*>(from)[i];
    }
    return out;
  }

  // One weight, with the bits of DequantizeWeights (common/kernels/dequantize.h).
  __device__ static float Value(const uint8_t* chunk, int output, int input) {
    const uint8_t* quants = chunk + output / 8 * kHalf;
    const int block = input / 32;
    int quant;
    if constexpr (IsNibbles(form)) {
      quant = quants[CoreByte(output % 8, input % 64)] >> block / 2 * 4 & 15;
      if constexpr (form == WeightForm::kNibbles) quant -= 8;
    } else {
      quant = static_cast<int8_t>(quants[CoreByte(output % 8, input)]);
    }
    const OutputScales<form> scales = LoadScales(chunk, output);
    float first = 0, second = 0;
#pragma unroll
    for (int b = 0; b < kChunkBlocks; ++b) {
      if (b != block) continue;
      first = scales.First(b);
      if constexpr (kHasMinimum || kHasTwoScales) second = scales.Second(b);
    }
    if constexpr (kHasTwoScales) return __fmaf_rn(input % 32 < 16 ? first : second, static_cast<float>(quant), 0.0f);
    if constexpr (kHasMinimum) return __fmaf_rn(first, static_cast<float>(quant), second);
    return first * static_cast<float>(quant);
  }
};

// function(std::integral_constant<WeightForm, form>) of a quantised form. On the host.
template <typename Function>
auto ForQuantizedForm(WeightForm form, const Function& function) {
  switch (form) {
    case WeightForm::kNibbles:
      return function(std::integral_constant<WeightForm, WeightForm::kNibbles>());
    case WeightForm::kNibblesMinimum:
      return function(std::integral_constant<WeightForm, WeightForm::kNibblesMinimum>());
    case WeightForm::kNibblesPacked:
      return function(std::integral_constant<WeightForm, WeightForm::kNibblesPacked>());
    case WeightForm::kBytesFloat:
      return function(std::integral_constant<WeightForm, WeightForm::kBytesFloat>());
    case WeightForm::kBytesTwoScales:
      return function(std::integral_constant<WeightForm, WeightForm::kBytesTwoScales>());
    default:
      return function(std::integral_constant<WeightForm, WeightForm::kBytes>());
  }
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_QUANTIZED_WEIGHTS_H_
