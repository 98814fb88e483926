// Vector functions shared by the AVX-512 kernels. Included by their sources only.
#ifndef KEDGE_COMMON_KERNELS_CPU_AVX512_MATH_H_
#define KEDGE_COMMON_KERNELS_CPU_AVX512_MATH_H_

#include <immintrin.h>

#include "common/kernels/cpu/avx2_math.h"

#define KEDGE_AVX512 __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
// For functions whose arguments are arrays of vectors: only inlined do these stay in registers.
#define KEDGE_AVX512_INLINE KEDGE_AVX512 __attribute__((always_inline)) inline

namespace kedge::avx512 {

// 16 numbers of the KV type or of a float weight type.
enum class Number { kF32, kF16, kBF16, kInt8 };

template <Number kNumber>
KEDGE_AVX512_INLINE __m512 LoadNumbers(const void* data, size_t index) {
  if constexpr (kNumber == Number::kF32) {
    return _mm512_loadu_ps(static_cast<const float*>(data) + index);
  } else if constexpr (kNumber == Number::kInt8) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const int8_t*>(data) + index));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  } else {
    const __m256i halves =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(static_cast<const uint16_t*>(data) + index));
    if constexpr (kNumber == Number::kF16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
}

// ExpFloat of each lane, operation by operation.
KEDGE_AVX512_INLINE __m512 Exp(__m512 x) {
  namespace c = exp_constants;
  x = _mm512_max_ps(_mm512_set1_ps(c::kLowest), x);
  x = _mm512_min_ps(_mm512_set1_ps(c::kHighest), x);
  const __m512 round = _mm512_set1_ps(c::kRoundToInteger);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(c::kLog2E), round);
  const __m512 n = _mm512_sub_ps(shifted, round);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(c::kLn2High), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(c::kLn2Low), r);
  __m512 sum = _mm512_set1_ps(c::kCoefficient[7]);
  KEDGE_UNROLL
  for (int k = 6; k >= 0; --k) sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(c::kCoefficient[k]));
  const __m512i two_to_n =
      _mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23), _mm512_set1_epi32(0x3f800000));
  return _mm512_mul_ps(sum, _mm512_castsi512_ps(two_to_n));
}

KEDGE_AVX512_INLINE __m256 LowHalf(__m512 x) { return _mm512_castps512_ps256(x); }
KEDGE_AVX512_INLINE __m256 HighHalf(__m512 x) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
}

}  // namespace kedge::avx512

#endif  // KEDGE_COMMON_KERNELS_CPU_AVX512_MATH_H_
