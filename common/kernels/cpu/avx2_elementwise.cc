// Operations within one row, with AVX2. The last columns, where they do not fill a vector, go through the scalar code,
// which has the same bits. Tested by kernels_test.cc.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "common/kernels/cpu/avx2.h"
#include "common/kernels/cpu/avx2_math.h"
#include "common/kernels/cpu/scalar.h"
#include "common/kernels/rounded_blocks.h"

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

namespace {

// RoundBlocks, in whole blocks; the last one of a head that is no whole block goes through the scalar code.
KEDGE_AVX2 void ToBlocks(const float* x, int size, float steps, uint8_t* out) {
  constexpr int kBlock = kScaleBlock, kVectors = kBlock / 8;
  uint8_t* scales = out + size;
  int i = 0;
  for (; i + kBlock <= size; i += kBlock, scales += sizeof(uint16_t)) {
    __m256 value[kVectors];
    __m256i largest = _mm256_setzero_si256();
    KEDGE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      value[v] = _mm256_loadu_ps(x + i + 8 * v);
      const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(value[v]), _mm256_set1_epi32(0x7fffffff));
      largest = _mm256_max_epu32(largest, magnitude);
    }
    __m128i four = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    four = _mm_max_epu32(four, _mm_unpackhi_epi64(four, four));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 1));
    const uint16_t scale = BlockScale(static_cast<uint32_t>(_mm_cvtsi128_si32(four)), steps);
    std::memcpy(scales, &scale, sizeof(scale));
    const float inverse = BlockInverse(scale);
    if (inverse == 0) {  // not times 0: infinities are no numbers then
      std::memset(out + i, 0, kBlock);
      continue;
    }
    __m256i rounded[kVectors];
    KEDGE_UNROLL
    for (int v = 0; v < kVectors; ++v) {  // to nearest even, as the thread is set to round
      rounded[v] = _mm256_cvtps_epi32(_mm256_mul_ps(value[v], _mm256_set1_ps(inverse)));
    }
    KEDGE_UNROLL
    for (int v = 0; v < kVectors; v += 2) {
      const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(rounded[v], rounded[v + 1]), 0xd8);
      const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i + 8 * v), bytes);
    }
  }
  if (i == size) return;
  uint8_t rest[PagePartBytes(KvType::kQ8, kBlock)];
  RoundBlocks(x + i, size - i, steps, rest);
  std::memcpy(out + i, rest, size - i);
  std::memcpy(scales, rest + size - i, sizeof(uint16_t));
}

}  // namespace

KEDGE_AVX2 void ToKv(KvType type, KvPart part, const float* x, int size, void* out) {
  if (HasScales(type)) return ToBlocks(x, size, RoundingSteps(type, part), static_cast<uint8_t*>(out));
  // Bfloat16 is integer arithmetic, the same in scalar code, and F32 a copy.
  if (type != KvType::kF16) return scalar::ToKv(type, part, x, size, out);
  uint16_t* halves = static_cast<uint16_t*>(out);
  int i = 0;
  for (; i + 8 <= size; i += 8) {
    const __m128i eight = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(halves + i), eight);
  }
  scalar::ToKv(type, part, x + i, size - i, halves + i);
}

}  // namespace kedge::avx2
#endif
