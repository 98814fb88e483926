// Stands in for CUDA's header of this name (see cuda_runtime.h): halves, with number_format.h's bits.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_FP16_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_FP16_H_

#include <cstdint>

#include "common/kernels/cuda/emulated/stand_in/cuda_runtime.h"
#include "common/kernels/number_format.h"

struct __half {
  uint16_t bits;
};
struct __attribute__((aligned(4))) __half2 {
  __half x, y;
};
using half = __half;
using half2 = __half2;

inline float __half2float(__half value) { return kedge::FromHalf(value.bits); }
inline __half __float2half_rn(float value) { return {kedge::ToHalf(value)}; }
inline __half __float2half(float value) { return __float2half_rn(value); }
inline uint16_t __half_as_ushort(__half value) { return value.bits; }
inline __half __ushort_as_half(uint16_t bits) { return {bits}; }

inline __half2 __halves2half2(__half low, __half high) { return {low, high}; }
inline __half2 __floats2half2_rn(float low, float high) { return {__float2half_rn(low), __float2half_rn(high)}; }
inline float2 __half22float2(__half2 value) { return {__half2float(value.x), __half2float(value.y)}; }
inline float __low2float(__half2 value) { return __half2float(value.x); }
inline float __high2float(__half2 value) { return __half2float(value.y); }

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_FP16_H_
