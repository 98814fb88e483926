// Matrix products with AVX2. A vector holds one number of each of 8 outputs, half a panel, so every lane is one output's
// chain and the result is that of the scalar code. Up to 4 rows of activations pass half a panel together: the weights
// are read and unpacked once for all of them.
//
// maddubs multiplies unsigned by signed bytes and adds pairs into 16 bits, with saturation. Quants of 4 bits: 8 such
// sums of at most 2 * 15 * 127 stay below 2^15, so they are added in 16 bits and widened once. Quants of 8 bits: |w|
// times (activation with the sign of w), at most 2 * 128 * 127 < 2^15; |-128| = 128 is right as an unsigned byte, and
// activations are never -128, so taking their sign is exact. Tested by kernels_test.cc.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "common/kernels/cpu/avx2.h"
#include "common/kernels/cpu/avx2_math.h"
#include "common/kernels/cpu/panels.h"

namespace kedge::avx2 {
namespace {

KEDGE_AVX2 inline __m256i Load(const void* data) { return _mm256_loadu_si256(static_cast<const __m256i*>(data)); }

KEDGE_AVX2 inline __m256 LoadHalves(const uint8_t* data) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data)));
}

// 4 bytes to all lanes.
KEDGE_AVX2 inline __m256i Broadcast4(const int8_t* data) {
  int32_t bytes;
  std::memcpy(&bytes, data, sizeof(bytes));
  return _mm256_set1_epi32(bytes);
}

// kRows rows against half a panel of Q4_0 or Q4_1: `halves` and `quants` are those of its first block.
template <int kRows, bool kHasMinimum>
KEDGE_AVX2 void MultiplyNibbles(const uint8_t* halves, const uint8_t* quants, int blocks, const QuantizedBlock* x,
                                float* out, size_t out_stride) {
  const __m256i low_nibbles = _mm256_set1_epi8(15);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 sums[kRows];
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = _mm256_setzero_ps();
  for (int b = 0; b < blocks; ++b, halves += kHasMinimum ? 64 : 32, quants += 256) {
    const __m256 scale = LoadHalves(halves);
    __m256i weights[8];
    KEDGE_UNROLL
    for (int g = 0; g < 4; ++g) {
      const __m256i pairs = Load(quants + 64 * g);
      weights[g] = _mm256_and_si256(pairs, low_nibbles);
      weights[g + 4] = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), low_nibbles);
    }
    KEDGE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const QuantizedBlock& block = x[size_t(r) * blocks + b];
      __m256i products = _mm256_maddubs_epi16(weights[0], Broadcast4(block.values));
      KEDGE_UNROLL
      for (int g = 1; g < 8; ++g) {
        products = _mm256_add_epi16(products, _mm256_maddubs_epi16(weights[g], Broadcast4(block.values + 4 * g)));
      }
      __m256i product = _mm256_madd_epi16(products, ones);
      if (!kHasMinimum) product = _mm256_sub_epi32(product, _mm256_set1_epi32(8 * block.sum));
      const __m256 scales = _mm256_mul_ps(scale, _mm256_set1_ps(block.scale));
      sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(product), scales, sums[r]);
      if (kHasMinimum) sums[r] = _mm256_fmadd_ps(LoadHalves(halves + 32), _mm256_set1_ps(block.scaled_sum), sums[r]);
    }
  }
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) _mm256_storeu_ps(out + r * out_stride, sums[r]);
}

template <int kRows>
KEDGE_AVX2 void MultiplyBytes(const uint8_t* halves, const uint8_t* quants, int blocks, const QuantizedBlock* x,
                              float* out, size_t out_stride) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 sums[kRows];
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = _mm256_setzero_ps();
  for (int b = 0; b < blocks; ++b, halves += 32, quants += 512) {
    __m256i products[kRows];
    KEDGE_UNROLL
    for (int r = 0; r < kRows; ++r) products[r] = _mm256_setzero_si256();
    KEDGE_UNROLL
    for (int g = 0; g < 8; ++g) {
      const __m256i weights = Load(quants + 64 * g);
      const __m256i magnitudes = _mm256_abs_epi8(weights);
      KEDGE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const __m256i signed_x = _mm256_sign_epi8(Broadcast4(x[size_t(r) * blocks + b].values + 4 * g), weights);
        const __m256i pairs = _mm256_maddubs_epi16(magnitudes, signed_x);
        products[r] = _mm256_add_epi32(products[r], _mm256_madd_epi16(pairs, ones));
      }
    }
    const __m256 scale = LoadHalves(halves);
    KEDGE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m256 scales = _mm256_mul_ps(scale, _mm256_set1_ps(x[size_t(r) * blocks + b].scale));
      sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products[r]), scales, sums[r]);
    }
  }
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) _mm256_storeu_ps(out + r * out_stride, sums[r]);
}

template <int kRows>
KEDGE_AVX2 void MultiplyQuantizedTile(const PanelView& weights, const uint8_t* panel, const QuantizedBlock* x,
                                      float* out, size_t out_stride) {
  const int blocks = weights.inputs / 32;
  for (int half = 0; half < 2; ++half) {
    const uint8_t* halves = panel + 16 * half;
    const uint8_t* quants = panel + weights.quants + 32 * half;
    switch (weights.type) {
      case TensorType::kQ4_0:
        MultiplyNibbles<kRows, false>(halves, quants, blocks, x, out + 8 * half, out_stride);
        break;
      case TensorType::kQ4_1:
        MultiplyNibbles<kRows, true>(halves, quants, blocks, x, out + 8 * half, out_stride);
        break;
      default:
        MultiplyBytes<kRows>(halves, quants, blocks, x, out + 8 * half, out_stride);
    }
  }
}

// Weights of 8 outputs for one input; `panel` begins at the first of these outputs.
template <TensorType kType>
KEDGE_AVX2 inline __m256 LoadFloatWeights(const uint8_t* panel, size_t input) {
  if constexpr (kType == TensorType::kF32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(panel + 64 * input));
  } else if constexpr (kType == TensorType::kF16) {
    return LoadHalves(panel + 32 * input);
  } else {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(panel + 32 * input));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
}

// kRows rows against both halves of a panel.
template <TensorType kType, int kRows>
KEDGE_AVX2 void MultiplyFloatTile(const PanelView& weights, int panel, const float* x, size_t x_stride, float* out,
                                  size_t out_stride) {
  constexpr size_t kHalfBytes = kType == TensorType::kF32 ? 32 : 16;
  const uint8_t* data = weights.data + panel * weights.panel_bytes;
  __m256 sums[kRows][2];
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KEDGE_UNROLL
    for (int p = 0; p < 2; ++p) sums[r][p] = _mm256_setzero_ps();
  }
  for (int k = 0; k < weights.inputs; ++k) {
    __m256 w[2];
    KEDGE_UNROLL
    for (int p = 0; p < 2; ++p) w[p] = LoadFloatWeights<kType>(data + p * kHalfBytes, k);
    KEDGE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_set1_ps(x[r * x_stride + k]);
      KEDGE_UNROLL
      for (int p = 0; p < 2; ++p) sums[r][p] = _mm256_fmadd_ps(w[p], value, sums[r][p]);
    }
  }
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KEDGE_UNROLL
    for (int p = 0; p < 2; ++p) {
      _mm256_storeu_ps(out + r * out_stride + panel * kPanelOutputs + 8 * p, sums[r][p]);
    }
  }
}

template <TensorType kType>
KEDGE_AVX2 void MultiplyFloatType(const PanelView& weights, int panel_begin, int panel_end, const float* x,
                                  size_t x_stride, int rows, float* out, size_t out_stride) {
  for (int p = panel_begin; p < panel_end; ++p) {
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      MultiplyFloatTile<kType, 4>(weights, p, x + r * x_stride, x_stride, out + r * out_stride, out_stride);
    }
    for (; r < rows; ++r) {
      MultiplyFloatTile<kType, 1>(weights, p, x + r * x_stride, x_stride, out + r * out_stride, out_stride);
    }
  }
}

}  // namespace

KEDGE_AVX2 void QuantizeRow(const float* x, int inputs, QuantizedBlock* out) {
  const __m256 no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // undoes the interleaving of the packs
  for (int b = 0; b < inputs / 32; ++b, x += 32) {
    QuantizedBlock& block = out[b];
    __m256 values[4];
    __m256 largest = _mm256_setzero_ps();
    KEDGE_UNROLL
    for (int i = 0; i < 4; ++i) {
      values[i] = _mm256_loadu_ps(x + 8 * i);
      largest = _mm256_max_ps(_mm256_and_ps(values[i], no_sign), largest);
    }
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    const float amax = _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    block.scale = amax / 127.0f;
    const __m256 inverse = _mm256_set1_ps(amax > kSmallestQuantized ? 127.0f / amax : 0.0f);
    __m256i integers[4];
    KEDGE_UNROLL
    for (int i = 0; i < 4; ++i) integers[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], inverse));
    __m256i sum =
        _mm256_add_epi32(_mm256_add_epi32(integers[0], integers[1]), _mm256_add_epi32(integers[2], integers[3]));
    const __m256i bytes =
        _mm256_packs_epi16(_mm256_packs_epi32(integers[0], integers[1]), _mm256_packs_epi32(integers[2], integers[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.values), _mm256_permutevar8x32_epi32(bytes, order));
    __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1));
    block.sum = _mm_cvtsi128_si32(sum4);
    block.scaled_sum = block.scale * static_cast<float>(block.sum);
    block.excess = -128 * block.sum;
  }
}

KEDGE_AVX2 void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                                  int rows, float* out, size_t out_stride) {
  const size_t blocks = weights.inputs / 32;
  for (int p = panel_begin; p < panel_end; ++p) {
    const uint8_t* panel = weights.data + p * weights.panel_bytes;
    float* column = out + p * kPanelOutputs;
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      MultiplyQuantizedTile<4>(weights, panel, x + r * blocks, column + r * out_stride, out_stride);
    }
    if (r + 2 <= rows) {
      MultiplyQuantizedTile<2>(weights, panel, x + r * blocks, column + r * out_stride, out_stride);
      r += 2;
    }
    if (r < rows) {
      MultiplyQuantizedTile<1>(weights, panel, x + r * blocks, column + r * out_stride, out_stride);
    }
  }
}

KEDGE_AVX2 void MultiplyFloat(const PanelView& weights, int panel_begin, int panel_end, const float* x, size_t x_stride,
                              int rows, float* out, size_t out_stride) {
  switch (weights.type) {
    case TensorType::kF32:
      return MultiplyFloatType<TensorType::kF32>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
    case TensorType::kF16:
      return MultiplyFloatType<TensorType::kF16>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
    default:
      return MultiplyFloatType<TensorType::kBF16>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
  }
}

}  // namespace kedge::avx2
#endif
