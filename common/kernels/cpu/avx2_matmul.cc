// Matrix products with AVX2. A vector holds one number of each of 8 outputs, half a panel, so every lane is one
// output's chain and the result is that of the scalar code. Up to 4 rows of activations pass half a panel together: the
// weights are read and unpacked once for all of them.
//
// maddubs multiplies unsigned by signed bytes and adds pairs into 16 bits, with saturation. Quants of 4 bits: 8 such
// sums of at most 2 * 15 * 127 stay below 2^15, so they are added in 16 bits and widened once. Signed bytes: |w|
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

KEDGE_AVX2 inline int32_t SumLanes(__m256i lanes) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

// 4 bytes to all lanes.
KEDGE_AVX2 inline __m256i Broadcast4(const int8_t* data) {
  int32_t bytes;
  std::memcpy(&bytes, data, sizeof(bytes));
  return _mm256_set1_epi32(bytes);
}

// Number 0 (scales) or 1 (minima, second scales) of 8 outputs; `scales` begins at the first of these outputs.
template <PanelForm kForm>
KEDGE_AVX2 inline __m256 LoadScales(const uint8_t* scales, int number) {
  if constexpr (kForm >= PanelForm::kNibblesFloat) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(scales) + number * kPanelOutputs);
  } else {
    return LoadHalves(scales + 2 * number * kPanelOutputs);
  }
}

// kRows rows against half a panel of nibbles: `scales` and `quants` are those of its first block.
template <PanelForm kForm, int kRows>
KEDGE_AVX2 void MultiplyNibbles(const uint8_t* scales, const uint8_t* quants, int blocks, const QuantizedBlock* x,
                                float* out, size_t out_stride) {
  const __m256i low_nibbles = _mm256_set1_epi8(15);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 sums[kRows];
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = _mm256_setzero_ps();
  for (int b = 0; b < blocks; ++b, scales += PanelScalesBytes(kForm), quants += PanelQuantsBytes(kForm)) {
    const __m256 scale = LoadScales<kForm>(scales, 0);
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
      if (kForm == PanelForm::kNibbles) product = _mm256_add_epi32(product, _mm256_set1_epi32(block.excess / 16));
      const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(block.scale));
      sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(product), factor, sums[r]);
      if (HasMinimum(kForm)) {
        sums[r] = _mm256_fmadd_ps(LoadScales<kForm>(scales, 1), _mm256_set1_ps(block.scaled_sum), sums[r]);
      }
    }
  }
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) _mm256_storeu_ps(out + r * out_stride, sums[r]);
}

// Of bytes: signed ones (kBytes), or unsigned ones of at most 63, in one part or in two with a scale each.
template <PanelForm kForm, int kRows>
KEDGE_AVX2 void MultiplyBytes(const uint8_t* scales, const uint8_t* quants, int blocks, const QuantizedBlock* x,
                              float* out, size_t out_stride) {
  constexpr int kParts = kForm == PanelForm::kBytesTwoScales ? 2 : 1;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 sums[kRows];
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = _mm256_setzero_ps();
  for (int b = 0; b < blocks; ++b, scales += PanelScalesBytes(kForm), quants += PanelQuantsBytes(kForm)) {
    KEDGE_UNROLL
    for (int part = 0; part < kParts; ++part) {
      __m256i products[kRows];
      KEDGE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const QuantizedBlock& block = x[size_t(r) * blocks + b];
        const int32_t excess = part == 0 ? block.first_excess : block.excess - block.first_excess;
        products[r] = kParts == 2 ? _mm256_set1_epi32(excess / 4) : _mm256_setzero_si256();
      }
      KEDGE_UNROLL
      for (int g = part * 4; g < (part + 1) * 8 / kParts; ++g) {
        const __m256i weights = Load(quants + 64 * g);
        const __m256i magnitudes = kForm == PanelForm::kBytes ? _mm256_abs_epi8(weights) : weights;
        KEDGE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m256i values = Broadcast4(x[size_t(r) * blocks + b].values + 4 * g);
          const __m256i signed_values = kForm == PanelForm::kBytes ? _mm256_sign_epi8(values, weights) : values;
          const __m256i pairs = _mm256_maddubs_epi16(magnitudes, signed_values);
          products[r] = _mm256_add_epi32(products[r], _mm256_madd_epi16(pairs, ones));
        }
      }
      const __m256 scale = LoadScales<kForm>(scales, part);
      KEDGE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const QuantizedBlock& block = x[size_t(r) * blocks + b];
        const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(block.scale));
        sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products[r]), factor, sums[r]);
        if (HasMinimum(kForm)) {
          sums[r] = _mm256_fmadd_ps(LoadScales<kForm>(scales, 1), _mm256_set1_ps(block.scaled_sum), sums[r]);
        }
      }
    }
  }
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) _mm256_storeu_ps(out + r * out_stride, sums[r]);
}

template <PanelForm kForm, int kRows>
KEDGE_AVX2 void MultiplyTile(const PanelView& weights, const uint8_t* panel, const QuantizedBlock* x, float* out,
                             size_t out_stride) {
  const int blocks = weights.inputs / 32;
  for (int half = 0; half < 2; ++half) {
    const uint8_t* scales = panel + (kForm >= PanelForm::kNibblesFloat ? 32 : 16) * half;
    const uint8_t* quants = panel + weights.quants + 32 * half;
    if constexpr (IsNibbles(kForm)) {
      MultiplyNibbles<kForm, kRows>(scales, quants, blocks, x, out + 8 * half, out_stride);
    } else {
      MultiplyBytes<kForm, kRows>(scales, quants, blocks, x, out + 8 * half, out_stride);
    }
  }
}

template <PanelForm kForm>
KEDGE_AVX2 void MultiplyForm(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                             int rows, float* out, size_t out_stride) {
  const size_t blocks = weights.inputs / 32;
  for (int p = panel_begin; p < panel_end; ++p) {
    const uint8_t* panel = weights.data + p * weights.panel_bytes;
    float* column = out + p * kPanelOutputs;
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      MultiplyTile<kForm, 4>(weights, panel, x + r * blocks, column + r * out_stride, out_stride);
    }
    if (r + 2 <= rows) {
      MultiplyTile<kForm, 2>(weights, panel, x + r * blocks, column + r * out_stride, out_stride);
      r += 2;
    }
    if (r < rows) MultiplyTile<kForm, 1>(weights, panel, x + r * blocks, column + r * out_stride, out_stride);
  }
}

// Weights of 8 outputs for one input; `panel` begins at the first of these outputs.
template <PanelForm kForm>
KEDGE_AVX2 inline __m256 LoadFloatWeights(const uint8_t* panel, size_t input) {
  if constexpr (kForm == PanelForm::kF32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(panel + 64 * input));
  } else if constexpr (kForm == PanelForm::kF16) {
    return LoadHalves(panel + 32 * input);
  } else {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(panel + 32 * input));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
}

// kRows rows against both halves of a panel.
template <PanelForm kForm, int kRows>
KEDGE_AVX2 void MultiplyFloatTile(const PanelView& weights, int panel, const float* x, size_t x_stride, float* out,
                                  size_t out_stride) {
  constexpr size_t kHalfBytes = kForm == PanelForm::kF32 ? 32 : 16;
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
    for (int p = 0; p < 2; ++p) w[p] = LoadFloatWeights<kForm>(data + p * kHalfBytes, k);
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

template <PanelForm kForm>
KEDGE_AVX2 void MultiplyFloatType(const PanelView& weights, int panel_begin, int panel_end, const float* x,
                                  size_t x_stride, int rows, float* out, size_t out_stride) {
  for (int p = panel_begin; p < panel_end; ++p) {
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      MultiplyFloatTile<kForm, 4>(weights, p, x + r * x_stride, x_stride, out + r * out_stride, out_stride);
    }
    for (; r < rows; ++r) {
      MultiplyFloatTile<kForm, 1>(weights, p, x + r * x_stride, x_stride, out + r * out_stride, out_stride);
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
    const __m256i bytes =
        _mm256_packs_epi16(_mm256_packs_epi32(integers[0], integers[1]), _mm256_packs_epi32(integers[2], integers[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.values), _mm256_permutevar8x32_epi32(bytes, order));
    const int32_t first = SumLanes(_mm256_add_epi32(integers[0], integers[1]));
    const int32_t sum = first + SumLanes(_mm256_add_epi32(integers[2], integers[3]));
    block.scaled_sum = block.scale * static_cast<float>(sum);
    block.excess = -128 * sum;
    block.first_excess = -128 * first;
  }
}

void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next) {
  ForQuantizedForm(weights.form,
                   [&](auto form) { MultiplyForm<form>(weights, panel_begin, panel_end, x, rows, out, out_stride); });
}

KEDGE_AVX2 void MultiplyFloat(const PanelView& weights, int panel_begin, int panel_end, const float* x, size_t x_stride,
                              int rows, float* out, size_t out_stride) {
  switch (weights.form) {
    case PanelForm::kF32:
      return MultiplyFloatType<PanelForm::kF32>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
    case PanelForm::kF16:
      return MultiplyFloatType<PanelForm::kF16>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
    default:
      return MultiplyFloatType<PanelForm::kBF16>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
  }
}

}  // namespace kedge::avx2
#endif
