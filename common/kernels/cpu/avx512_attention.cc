// Attention over one page, with AVX-512: the products of avx2_attention.cc, 32 columns at a time for up to 6 queries;
// what does not fill a vector goes through the AVX2 code. SwiGlu stands here for its exp. Tested by kernels_test.cc.
#if defined(__x86_64__)
#include <immintrin.h>

#include <limits>

#include "common/kernels/cpu/avx2.h"
#include "common/kernels/cpu/avx512.h"
#include "common/kernels/cpu/avx512_math.h"

namespace kedge::avx512 {
namespace {

// 16 * kVectors columns.
template <Number kNumber, int kQueries, int kVectors>
KEDGE_AVX512_INLINE void AccumulateColumns(const float* a, size_t a_stride, const void* b, size_t b_stride, int begin,
                                           int end, size_t column, const float* scales, float* sums,
                                           size_t sums_stride) {
  __m512 sum[kQueries][kVectors];
  KEDGE_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    KEDGE_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      sum[q][c] = scales == nullptr ? _mm512_loadu_ps(sums + q * sums_stride + column + 16 * c) : _mm512_setzero_ps();
    }
  }
  for (int i = begin; i < end; ++i) {
    __m512 row[kVectors];
    KEDGE_UNROLL
    for (int c = 0; c < kVectors; ++c) row[c] = LoadNumbers<kNumber>(b, i * b_stride + column + 16 * c);
    KEDGE_UNROLL
    for (int q = 0; q < kQueries; ++q) {
      const __m512 factor = _mm512_set1_ps(a[q * a_stride + i]);
      KEDGE_UNROLL
      for (int c = 0; c < kVectors; ++c) sum[q][c] = _mm512_fmadd_ps(factor, row[c], sum[q][c]);
    }
  }
  KEDGE_UNROLL
  for (int q = 0; q < kQueries; ++q) {
    KEDGE_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      float* const all = sums + q * sums_stride + column + 16 * c;
      if (scales != nullptr) {
        sum[q][c] = _mm512_fmadd_ps(_mm512_loadu_ps(scales + column + 16 * c), sum[q][c], _mm512_loadu_ps(all));
      }
      _mm512_storeu_ps(all, sum[q][c]);
    }
  }
}

// Columns [column, column_end), in vectors of 16.
template <Number kNumber, int kQueries>
KEDGE_AVX512 void AccumulateQueries(const float* a, size_t a_stride, const void* b, size_t b_stride, int begin, int end,
                                    size_t column, size_t column_end, const float* scales, float* sums,
                                    size_t sums_stride) {
  for (; column + 32 <= column_end; column += 32) {
    AccumulateColumns<kNumber, kQueries, 2>(a, a_stride, b, b_stride, begin, end, column, scales, sums, sums_stride);
  }
  if (column < column_end) {
    AccumulateColumns<kNumber, kQueries, 1>(a, a_stride, b, b_stride, begin, end, column, scales, sums, sums_stride);
  }
}

template <Number kNumber>
KEDGE_AVX512 void AccumulateNumbers(int queries, const float* a, size_t a_stride, const void* b, size_t b_stride,
                                    int begin, int end, size_t column, size_t column_end, const float* scales,
                                    float* sums, size_t sums_stride) {
  const auto some = [&]<int kQueries>() KEDGE_AVX512 {
    AccumulateQueries<kNumber, kQueries>(a, a_stride, b, b_stride, begin, end, column, column_end, scales, sums,
                                         sums_stride);
    a += kQueries * a_stride;
    sums += kQueries * sums_stride;
  };
  for (; queries >= 6; queries -= 6) some.template operator()<6>();
  switch (queries) {
    case 1:
      return some.template operator()<1>();
    case 2:
      return some.template operator()<2>();
    case 3:
      return some.template operator()<3>();
    case 4:
      return some.template operator()<4>();
    case 5:
      return some.template operator()<5>();
  }
}

}  // namespace

KEDGE_AVX512 void Accumulate(KvType type, int queries, const float* a, size_t a_stride, const void* b, size_t b_stride,
                             int begin, int end, int block_begin, int block_end, const float* scales, float* sums,
                             size_t sums_stride) {
  const size_t column = size_t(8) * block_begin;
  const int vectors_end = block_begin + (block_end - block_begin) / 2 * 2;
  const size_t column_end = size_t(8) * vectors_end;
  switch (type) {
    case KvType::kF32:
      AccumulateNumbers<Number::kF32>(queries, a, a_stride, b, b_stride, begin, end, column, column_end, scales, sums,
                                      sums_stride);
      break;
    case KvType::kF16:
      AccumulateNumbers<Number::kF16>(queries, a, a_stride, b, b_stride, begin, end, column, column_end, scales, sums,
                                      sums_stride);
      break;
    case KvType::kBF16:
      AccumulateNumbers<Number::kBF16>(queries, a, a_stride, b, b_stride, begin, end, column, column_end, scales, sums,
                                       sums_stride);
      break;
    case KvType::kQ8:
    case KvType::kK6V4:  // never: no page has it
      AccumulateNumbers<Number::kInt8>(queries, a, a_stride, b, b_stride, begin, end, column, column_end, scales, sums,
                                       sums_stride);
  }
  if (vectors_end < block_end) {
    avx2::Accumulate(type, queries, a, a_stride, b, b_stride, begin, end, vectors_end, block_end, scales, sums,
                     sums_stride);
  }
}

KEDGE_AVX512 void FromKv(KvType type, const void* data, int size, float* out) {
  int i = 0;
  switch (type) {
    case KvType::kF32:
      for (; i + 16 <= size; i += 16) _mm512_storeu_ps(out + i, LoadNumbers<Number::kF32>(data, i));
      break;
    case KvType::kF16:
      for (; i + 16 <= size; i += 16) _mm512_storeu_ps(out + i, LoadNumbers<Number::kF16>(data, i));
      break;
    case KvType::kBF16:
      for (; i + 16 <= size; i += 16) _mm512_storeu_ps(out + i, LoadNumbers<Number::kBF16>(data, i));
      break;
    case KvType::kQ8:
    case KvType::kK6V4:
      for (; i + 16 <= size; i += 16) _mm512_storeu_ps(out + i, LoadNumbers<Number::kInt8>(data, i));
  }
  if (i < size) avx2::FromKv(type, static_cast<const uint8_t*>(data) + i * KvTypeBytes(type), size - i, out + i);
}

KEDGE_AVX512 void ScaleWeights(const float* scales, int queries, const float* weights, float* out) {
  static_assert(kPageRows == 32);
  const __m512 low = _mm512_loadu_ps(scales), high = _mm512_loadu_ps(scales + 16);
  for (int q = 0; q < queries; ++q, weights += kPageRows, out += kPageRows) {
    _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_loadu_ps(weights), low));
    _mm512_storeu_ps(out + 16, _mm512_mul_ps(_mm512_loadu_ps(weights + 16), high));
  }
}

KEDGE_AVX512 void SoftmaxPage(const float* scores, int begin, int end, SoftmaxState* state, float* weights,
                              float* values, int size) {
  const uint32_t visible = (end < 32 ? (1u << end) - 1 : ~0u) & ~((1u << begin) - 1);
  const __mmask16 low = static_cast<__mmask16>(visible), high = static_cast<__mmask16>(visible >> 16);
  const __m512 hidden = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  const __m512 score0 = _mm512_mask_loadu_ps(hidden, low, scores);
  const __m512 score1 = _mm512_mask_loadu_ps(hidden, high, scores + 16);
  const float page_max = avx2::MaxLanes(_mm256_max_ps(_mm256_max_ps(LowHalf(score0), HighHalf(score0)),
                                                      _mm256_max_ps(LowHalf(score1), HighHalf(score1))));
  const float max = page_max > state->max ? page_max : state->max;
  const __m512 maxes = _mm512_set1_ps(max);
  const __m512 weight0 = _mm512_maskz_mov_ps(low, Exp(_mm512_sub_ps(score0, maxes)));
  const __m512 weight1 = _mm512_maskz_mov_ps(high, Exp(_mm512_sub_ps(score1, maxes)));
  _mm512_storeu_ps(weights, weight0);
  _mm512_storeu_ps(weights + 16, weight1);
  const float page_sum = avx2::SumLanes(_mm256_add_ps(_mm256_add_ps(LowHalf(weight0), HighHalf(weight0)),
                                                      _mm256_add_ps(LowHalf(weight1), HighHalf(weight1))));
  if (max == state->max) {  // exp(0) is exactly 1
    state->sum += page_sum;
    return;
  }
  const float correction = ExpFloat(state->max - max);
  state->sum = std::fma(state->sum, correction, page_sum);
  state->max = max;
  const __m512 corrections = _mm512_set1_ps(correction);
  int i = 0;
  for (; i + 16 <= size; i += 16) _mm512_storeu_ps(values + i, _mm512_mul_ps(_mm512_loadu_ps(values + i), corrections));
  for (; i < size; ++i) values[i] *= correction;
}

KEDGE_AVX512 void SwiGlu(const float* up, int size, float* gate) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000u));
  int i = 0;
  for (; i + 16 <= size; i += 16) {
    const __m512 value = _mm512_loadu_ps(gate + i);
    const __m512 negative = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(value), sign));
    const __m512 silu = _mm512_div_ps(value, _mm512_add_ps(one, Exp(negative)));
    _mm512_storeu_ps(gate + i, _mm512_mul_ps(silu, _mm512_loadu_ps(up + i)));
  }
  if (i < size) avx2::SwiGlu(up + i, size - i, gate + i);
}

}  // namespace kedge::avx512
#endif
