// Stands in for CUDA's header of this name (see cuda_runtime.h): bfloat16, with number_format.h's bits.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_BF16_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_BF16_H_

#include <cstdint>

#include "common/kernels/cuda/emulated/stand_in/cuda_runtime.h"
#include "common/kernels/number_format.h"

struct __nv_bfloat16 {
  uint16_t bits;
};
struct __attribute__((aligned(4))) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

inline float __bfloat162float(__nv_bfloat16 value) { return kedge::FromBFloat16(value.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return {kedge::ToBFloat16(value)}; }
inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(uint16_t bits) { return {bits}; }
inline float2 __bfloat1622float2(__nv_bfloat162 value) {
  return {__bfloat162float(value.x), __bfloat162float(value.y)};
}
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) {
  return {__float2bfloat16_rn(low), __float2bfloat16_rn(high)};
}

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_BF16_H_
