// Attention over one page, with AVX2. Scores and values are the same small product, sums[q][c] += a[q][i] * b[i][c]:
// rows of b are loaded and converted once for up to 4 queries, and 16 columns at a time are summed in registers, each
// lane in ascending order of i. Tested by kernels_test.cc.
#if defined(__x86_64__)
#include <immintrin.h>

#include <limits>

#include "common/kernels/cpu/avx2.h"
#include "common/kernels/cpu/avx2_math.h"

namespace kedge::avx2 {
namespace {

template <KvType kType>
KEDGE_AVX2 inline __m256 LoadKv(const void* data, size_t index) {
  if constexpr (kType == KvType::kF32) {
    return _mm256_loadu_ps(static_cast<const float*>(data) + index);
  } else if constexpr (kType == KvType::kQ8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(static_cast<const int8_t*>(data) + index));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  } else {
    const __m128i halves =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const uint16_t*>(data) + index));
    if constexpr (kType == KvType::kF16) return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
}

// 8 * kBlocks columns.
template <KvType kType, int kQueries, int kBlocks>
KEDGE_AVX2 inline void AccumulateColumns(const float* a, size_t a_stride, const void* b, size_t b_stride, int begin,
                                         int end, size_t column, const float* scales, float* sums, size_t sums_stride) {
  __m256 sum[kQueries][kBlocks];
  KEDGE_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    KEDGE_UNROLL
    for (int c = 0; c < kBlocks; ++c) {
      sum[q][c] = scales == nullptr ? _mm256_loadu_ps(sums + q * sums_stride + column + 8 * c) : _mm256_setzero_ps();
    }
  }
  for (int i = begin; i < end; ++i) {
    __m256 row[kBlocks];
    KEDGE_UNROLL
    for (int c = 0; c < kBlocks; ++c) row[c] = LoadKv<kType>(b, i * b_stride + column + 8 * c);
    KEDGE_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m256 factor = _mm256_set1_ps(a[q * a_stride + i]);
      KEDGE_UNROLL
      for (int c = 0; c < kBlocks; ++c) sum[q][c] = _mm256_fmadd_ps(factor, row[c], sum[q][c]);
    }
  }
  KEDGE_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    KEDGE_UNROLL
    for (int c = 0; c < kBlocks; ++c) {
      float* const all = sums + q * sums_stride + column + 8 * c;
      if (scales != nullptr) {
        sum[q][c] = _mm256_fmadd_ps(_mm256_loadu_ps(scales + column + 8 * c), sum[q][c], _mm256_loadu_ps(all));
      }
      _mm256_storeu_ps(all, sum[q][c]);
    }
  }
}

template <KvType kType, int kQueries>
KEDGE_AVX2 void AccumulateQueries(const float* a, size_t a_stride, const void* b, size_t b_stride, int begin, int end,
                                  int block_begin, int block_end, const float* scales, float* sums,
                                  size_t sums_stride) {
  int block = block_begin;
  for (; block + 2 <= block_end; block += 2) {
    AccumulateColumns<kType, kQueries, 2>(a, a_stride, b, b_stride, begin, end, size_t(8) * block, scales, sums,
                                          sums_stride);
  }
  if (block < block_end) {
    AccumulateColumns<kType, kQueries, 1>(a, a_stride, b, b_stride, begin, end, size_t(8) * block, scales, sums,
                                          sums_stride);
  }
}

template <KvType kType>
KEDGE_AVX2 void AccumulateType(int queries, const float* a, size_t a_stride, const void* b, size_t b_stride, int begin,
                               int end, int block_begin, int block_end, const float* scales, float* sums,
                               size_t sums_stride) {
  int q = 0;
  for (; q + 4 <= queries; q += 4) {
    AccumulateQueries<kType, 4>(a + q * a_stride, a_stride, b, b_stride, begin, end, block_begin, block_end, scales,
                                sums + q * sums_stride, sums_stride);
  }
  a += q * a_stride;
  sums += q * sums_stride;
  switch (queries - q) {
    case 1:
      return AccumulateQueries<kType, 1>(a, a_stride, b, b_stride, begin, end, block_begin, block_end, scales, sums,
                                         sums_stride);
    case 2:
      return AccumulateQueries<kType, 2>(a, a_stride, b, b_stride, begin, end, block_begin, block_end, scales, sums,
                                         sums_stride);
    case 3:
      return AccumulateQueries<kType, 3>(a, a_stride, b, b_stride, begin, end, block_begin, block_end, scales, sums,
                                         sums_stride);
  }
}

template <KvType kType>
KEDGE_AVX2 void FromKvType(const void* data, int size, float* out) {
  for (int i = 0; i < size; i += 8) _mm256_storeu_ps(out + i, LoadKv<kType>(data, i));
}

}  // namespace

KEDGE_AVX2 void Accumulate(KvType type, int queries, const float* a, size_t a_stride, const void* b, size_t b_stride,
                           int begin, int end, int block_begin, int block_end, const float* scales, float* sums,
                           size_t sums_stride) {
  switch (type) {
    case KvType::kF32:
      return AccumulateType<KvType::kF32>(queries, a, a_stride, b, b_stride, begin, end, block_begin, block_end, scales,
                                          sums, sums_stride);
    case KvType::kF16:
      return AccumulateType<KvType::kF16>(queries, a, a_stride, b, b_stride, begin, end, block_begin, block_end, scales,
                                          sums, sums_stride);
    case KvType::kBF16:
      return AccumulateType<KvType::kBF16>(queries, a, a_stride, b, b_stride, begin, end, block_begin, block_end,
                                           scales, sums, sums_stride);
    case KvType::kQ8:
    case KvType::kK6V4:  // never: no page has it
      return AccumulateType<KvType::kQ8>(queries, a, a_stride, b, b_stride, begin, end, block_begin, block_end, scales,
                                         sums, sums_stride);
  }
}

KEDGE_AVX2 void FromKv(KvType type, const void* data, int size, float* out) {
  switch (type) {
    case KvType::kF32:
      return FromKvType<KvType::kF32>(data, size, out);
    case KvType::kF16:
      return FromKvType<KvType::kF16>(data, size, out);
    case KvType::kBF16:
      return FromKvType<KvType::kBF16>(data, size, out);
    case KvType::kQ8:
    case KvType::kK6V4:
      return FromKvType<KvType::kQ8>(data, size, out);
  }
}

KEDGE_AVX2 void ScaleWeights(const float* scales, int queries, const float* weights, float* out) {
  constexpr int kVectors = kPageRows / 8;
  __m256 scale[kVectors];
  KEDGE_UNROLL
  for (int v = 0; v < kVectors; ++v) scale[v] = _mm256_loadu_ps(scales + 8 * v);
  for (int q = 0; q < queries; ++q, weights += kPageRows, out += kPageRows) {
    KEDGE_UNROLL
    for (int v = 0; v < kVectors; ++v)
      _mm256_storeu_ps(out + 8 * v, _mm256_mul_ps(_mm256_loadu_ps(weights + 8 * v), scale[v]));
  }
}

KEDGE_AVX2 void SoftmaxPage(const float* scores, int begin, int end, SoftmaxState* state, float* weights, float* values,
                            int size) {
  const __m256 hidden_score = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
  const __m256i first = _mm256_set1_epi32(begin - 1);
  const __m256i last = _mm256_set1_epi32(end);
  const __m256i count = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256 visible[4];
  __m256 score[4];
  KEDGE_UNROLL
  for (int v = 0; v < 4; ++v) {
    const __m256i index = _mm256_add_epi32(count, _mm256_set1_epi32(8 * v));
    visible[v] =
        _mm256_castsi256_ps(_mm256_and_si256(_mm256_cmpgt_epi32(index, first), _mm256_cmpgt_epi32(last, index)));
    score[v] = _mm256_blendv_ps(hidden_score, _mm256_loadu_ps(scores + 8 * v), visible[v]);
  }
  const float page_max = MaxLanes(_mm256_max_ps(_mm256_max_ps(score[0], score[1]), _mm256_max_ps(score[2], score[3])));
  const float max = page_max > state->max ? page_max : state->max;
  const __m256 maxes = _mm256_set1_ps(max);
  __m256 weight[4];
  KEDGE_UNROLL
  for (int v = 0; v < 4; ++v) {
    weight[v] = _mm256_and_ps(Exp(_mm256_sub_ps(score[v], maxes)), visible[v]);
    _mm256_storeu_ps(weights + 8 * v, weight[v]);
  }
  const float page_sum =
      SumLanes(_mm256_add_ps(_mm256_add_ps(weight[0], weight[1]), _mm256_add_ps(weight[2], weight[3])));
  const float correction = ExpFloat(state->max - max);
  state->sum = std::fma(state->sum, correction, page_sum);
  state->max = max;
  const __m256 corrections = _mm256_set1_ps(correction);
  int i = 0;
  for (; i + 8 <= size; i += 8) _mm256_storeu_ps(values + i, _mm256_mul_ps(_mm256_loadu_ps(values + i), corrections));
  for (; i < size; ++i) values[i] *= correction;
}

}  // namespace kedge::avx2
#endif
