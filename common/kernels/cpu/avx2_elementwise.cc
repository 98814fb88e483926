// Operations within one row, with AVX2. The last columns, where they do not fill a vector, go through the scalar code,
// which has the same bits. Tested by kernels_test.cc.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "common/kernels/cpu/avx2.h"
#include "common/kernels/cpu/avx2_math.h"
#include "common/kernels/cpu/scalar.h"

namespace kedge::avx2 {

KEDGE_AVX2 void RmsNorm(const float* x, const float* weight, float epsilon, int size, float* out) {
  __m256 lanes = _mm256_setzero_ps();
  int i = 0;
  for (; i + 8 <= size; i += 8) {
    const __m256 value = _mm256_loadu_ps(x + i);
    lanes = _mm256_fmadd_ps(value, value, lanes);
  }
  if (i < size) {
    float rest[8] = {};  // zeros leave their lanes as they are
    std::memcpy(rest, x + i, sizeof(float) * (size - i));
    const __m256 value = _mm256_loadu_ps(rest);
    lanes = _mm256_fmadd_ps(value, value, lanes);
  }
  const float scale = 1.0f / std::sqrt(SumLanes(lanes) / static_cast<float>(size) + epsilon);
  const __m256 scales = _mm256_set1_ps(scale);
  for (i = 0; i + 8 <= size; i += 8) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), scales);
    _mm256_storeu_ps(out + i, _mm256_mul_ps(scaled, _mm256_loadu_ps(weight + i)));
  }
  for (; i < size; ++i) out[i] = x[i] * scale * weight[i];
}

KEDGE_AVX2 void Rope(const float* cos, const float* sin, int size, float* x) {
  int i = 0;
  for (; i + 8 <= size; i += 8) {
    const __m256 value = _mm256_loadu_ps(x + i);
    const __m256 swapped = _mm256_permute_ps(value, 0xb1);  // x[i ^ 1]
    const __m256 other = _mm256_mul_ps(swapped, _mm256_loadu_ps(sin + i));
    _mm256_storeu_ps(x + i, _mm256_fmadd_ps(value, _mm256_loadu_ps(cos + i), other));
  }
  scalar::Rope(cos + i, sin + i, size - i, x + i);
}

KEDGE_AVX2 void Add(const float* y, int size, float* x) {
  int i = 0;
  for (; i + 8 <= size; i += 8) _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  scalar::Add(y + i, size - i, x + i);
}

KEDGE_AVX2 void SwiGlu(const float* up, int size, float* gate) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  int i = 0;
  for (; i + 8 <= size; i += 8) {
    const __m256 value = _mm256_loadu_ps(gate + i);
    const __m256 silu = _mm256_div_ps(value, _mm256_add_ps(one, Exp(_mm256_xor_ps(value, sign))));
    _mm256_storeu_ps(gate + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
  }
  scalar::SwiGlu(up + i, size - i, gate + i);
}

KEDGE_AVX2 void ToKv(KvType type, const float* x, int size, void* out) {
  // Bfloat16 is integer arithmetic, the same in scalar code, and F32 a copy.
  if (type != KvType::kF16) return scalar::ToKv(type, x, size, out);
  uint16_t* halves = static_cast<uint16_t*>(out);
  int i = 0;
  for (; i + 8 <= size; i += 8) {
    const __m128i eight = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + i), eight);
  }
  scalar::ToKv(type, x + i, size - i, halves + i);
}

}  // namespace kedge::avx2
#endif
