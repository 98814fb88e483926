// How threads take float weights apart (weight_layout.h).
#ifndef KEDGE_COMMON_KERNELS_CUDA_FLOAT_WEIGHTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_FLOAT_WEIGHTS_H_

#include <cstdint>
#include <type_traits>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/weight_layout.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

template <WeightForm form>
struct FloatWeights {
  static constexpr int kInputs = UnitInputs(form), kBytes = ChunkBytes(form);

  // A unit: kInputs weights of one output.
  __device__ static void Load(const uint8_t* unit, float (&out)[kInputs]) {
    const uint4 four = *reinterpret_cast<const uint4*>(unit);
    const uint32_t words[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (form == WeightForm::kF32) {
        out[i] = __uint_as_float(words[i]);
      } else if constexpr (form == WeightForm::kBF16) {
        out[2 * i] = __uint_as_float(words[i] << 16);
        out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
      } else {
        out[2 * i] = __half2float(__ushort_as_half(static_cast<uint16_t>(words[i])));
        out[2 * i + 1] = __half2float(__ushort_as_half(static_cast<uint16_t>(words[i] >> 16)));
      }
    }
  }

  // One weight of output `output` of the group's 32.
  __device__ static float Value(const uint8_t* group, int output, int input) {
    float unit[kInputs];
    Load(group + (input / kInputs * kFloatOutputs + output) * kUnitBytes, unit);
    float value = 0;
#pragma unroll
    for (int i = 0; i < kInputs; ++i) {
      if (i == input % kInputs) value = unit[i];
    }
    return value;
  }
};

// function(std::integral_constant<WeightForm, form>) of a float form. On the host.
template <typename Function>
auto ForFloatForm(WeightForm form, const Function& function) {
  switch (form) {
    case WeightForm::kF32:
      return function(std::integral_constant<WeightForm, WeightForm::kF32>());
    case WeightForm::kF16:
      return function(std::integral_constant<WeightForm, WeightForm::kF16>());
    default:
      return function(std::integral_constant<WeightForm, WeightForm::kBF16>());
  }
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_FLOAT_WEIGHTS_H_
