// Vector functions shared by the AVX2 kernels. Included by their sources only.
#ifndef KEDGE_COMMON_KERNELS_CPU_AVX2_MATH_H_
#define KEDGE_COMMON_KERNELS_CPU_AVX2_MATH_H_

#include <immintrin.h>

#include "common/kernels/cpu/exp.h"

#define KEDGE_AVX2 __attribute__((target("avx2,fma,f16c")))
// Before loops over arrays of vectors, of at most 16 turns: unrolled, the arrays are registers. -O2 does not do so by
// itself.
#define KEDGE_UNROLL _Pragma("GCC unroll 16")

namespace kedge::avx2 {

// ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)).
KEDGE_AVX2 inline float SumLanes(__m256 lanes) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

// The largest lane, joined in the same order.
KEDGE_AVX2 inline float MaxLanes(__m256 lanes) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

// ExpFloat of each lane, operation by operation.
KEDGE_AVX2 inline __m256 Exp(__m256 x) {
  namespace c = exp_constants;
  x = _mm256_max_ps(_mm256_set1_ps(c::kLowest), x);
  x = _mm256_min_ps(_mm256_set1_ps(c::kHighest), x);
  const __m256 round = _mm256_set1_ps(c::kRoundToInteger);
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(c::kLog2E), round);
  const __m256 n = _mm256_sub_ps(shifted, round);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(c::kLn2High), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(c::kLn2Low), r);
  __m256 sum = _mm256_set1_ps(c::kCoefficient[7]);
  KEDGE_UNROLL
  for (int k = 6; k >= 0; --k) sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(c::kCoefficient[k]));
  const __m256i two_to_n =
      _mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23), _mm256_set1_epi32(0x3f800000));
  return _mm256_mul_ps(sum, _mm256_castsi256_ps(two_to_n));
}

}  // namespace kedge::avx2

#endif  // KEDGE_COMMON_KERNELS_CPU_AVX2_MATH_H_
