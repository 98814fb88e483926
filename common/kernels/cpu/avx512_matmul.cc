// Matrix products with AVX-512 and VNNI. A vector holds one number of each of a panel's 16 outputs, so every lane is
// one output's chain and the result is that of the scalar code. Up to 6 rows of activations pass two panels together:
// 12 chains, and a weight and an activation are loaded once for 6 and for 2 products.
//
// dpbusd multiplies unsigned by signed bytes and adds 4 products to an int32, exactly. Quants of 8 bits are moved up by
// 128 to become unsigned, and each sum begins with the -128 * (sum of activations) that this adds; quants of Q4_0 are
// moved up by 8 in the file, those of Q6_K by 32. Where more rows pass than fit the registers, weights are brought to
// bytes and float scales once for all of them. Tested by kernels_test.cc.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>
#include <vector>

#include "common/kernels/cpu/avx512.h"
#include "common/kernels/cpu/avx512_math.h"
#include "common/kernels/cpu/panels.h"

namespace kedge::avx512 {
namespace {

constexpr int kTileRows = 6;

KEDGE_AVX512_INLINE __m512i Load(const void* data) { return _mm512_loadu_si512(data); }

// 4 bytes to all lanes.
KEDGE_AVX512_INLINE __m512i Broadcast4(const int8_t* data) {
  int32_t bytes;
  std::memcpy(&bytes, data, sizeof(bytes));
  return _mm512_set1_epi32(bytes);
}

constexpr bool HasFloatScales(PanelForm form) { return form >= PanelForm::kNibblesFloat; }
// Parts of a block, each with a scale.
constexpr int Parts(PanelForm form) { return form == PanelForm::kBytesTwoScales ? 2 : 1; }

// One block of 32 inputs of a panel, as it was packed; the next one after Next().
template <PanelForm kForm>
struct PackedBlock {
  const uint8_t* scales;
  const uint8_t* quants;

  // Weights 4g .. 4g + 3 of each output, unsigned.
  KEDGE_AVX512_INLINE __m512i Group(int g) const {
    if constexpr (kForm == PanelForm::kBytes) {
      return _mm512_xor_si512(Load(quants + 64 * g), _mm512_set1_epi8(-128));
    } else if constexpr (!IsNibbles(kForm)) {
      return Load(quants + 64 * g);
    } else {
      const __m512i pairs = Load(quants + 64 * (g % 4));
      return _mm512_and_si512(g < 4 ? pairs : _mm512_srli_epi16(pairs, 4), _mm512_set1_epi8(15));
    }
  }
  // 0: the (first) scale of each output; 1: the minimum or the second scale.
  KEDGE_AVX512_INLINE __m512 Scale(int index) const {
    constexpr Number kNumber = HasFloatScales(kForm) ? Number::kF32 : Number::kF16;
    return LoadNumbers<kNumber>(scales, index * kPanelOutputs);
  }
  KEDGE_AVX512_INLINE void Next() {
    scales += PanelScalesBytes(kForm);
    quants += PanelQuantsBytes(kForm);
  }
};

// The same, brought to bytes and floats.
struct alignas(64) WideBlock {
  uint8_t groups[8][64];
  float scales[2][kPanelOutputs];
};

struct UnpackedBlock {
  const WideBlock* block;

  KEDGE_AVX512_INLINE __m512i Group(int g) const { return _mm512_load_si512(block->groups[g]); }
  KEDGE_AVX512_INLINE __m512 Scale(int index) const { return _mm512_load_ps(block->scales[index]); }
  KEDGE_AVX512_INLINE void Next() { ++block; }
};

template <PanelForm kForm>
KEDGE_AVX512 void Unpack(PackedBlock<kForm> from, int blocks, WideBlock* to) {
  for (int b = 0; b < blocks; ++b, from.Next(), ++to) {
    KEDGE_UNROLL
    for (int g = 0; g < 8; ++g) _mm512_store_si512(to->groups[g], from.Group(g));
    _mm512_store_ps(to->scales[0], from.Scale(0));
    if (HasMinimum(kForm) || Parts(kForm) == 2) _mm512_store_ps(to->scales[1], from.Scale(1));
  }
}

// What the sum of products of a part begins with.
template <PanelForm kForm>
KEDGE_AVX512_INLINE __m512i Start(const QuantizedBlock& x, int part) {
  if constexpr (HasMinimum(kForm)) return _mm512_setzero_si512();
  const __m512i excess = _mm512_set1_epi32(x.excess);
  if constexpr (kForm == PanelForm::kBytes) return excess;
  if constexpr (kForm == PanelForm::kNibbles) return _mm512_srai_epi32(excess, 4);  // 8 instead of 128
  const __m512i first = _mm512_set1_epi32(x.first_excess);
  return _mm512_srai_epi32(part == 0 ? first : _mm512_sub_epi32(excess, first), 2);  // 32 instead of 128
}

// kRows rows against kPanels neighbouring panels; out: of the first output.
template <PanelForm kForm, int kRows, int kPanels, typename Block>
KEDGE_AVX512_INLINE void MultiplyTile(const Block* panels, int blocks, const QuantizedBlock* x, float* out,
                                      size_t out_stride) {
  constexpr int kParts = Parts(kForm);
  Block block[kPanels];
  __m512 sums[kRows][kPanels];
  KEDGE_UNROLL
  for (int p = 0; p < kPanels; ++p) {
    block[p] = panels[p];
    KEDGE_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r][p] = _mm512_setzero_ps();
  }
  for (int b = 0; b < blocks; ++b) {
    KEDGE_UNROLL
    for (int part = 0; part < kParts; ++part) {
      __m512i products[kRows][kPanels];
      KEDGE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        KEDGE_UNROLL
        for (int p = 0; p < kPanels; ++p) products[r][p] = Start<kForm>(x[size_t(r) * blocks + b], part);
      }
      KEDGE_UNROLL
      for (int g = part * 4; g < (part + 1) * 8 / kParts; ++g) {
        __m512i weights[kPanels];
        KEDGE_UNROLL
        for (int p = 0; p < kPanels; ++p) weights[p] = block[p].Group(g);
        KEDGE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const __m512i values = Broadcast4(x[size_t(r) * blocks + b].values + 4 * g);
          KEDGE_UNROLL
          for (int p = 0; p < kPanels; ++p) products[r][p] = _mm512_dpbusd_epi32(products[r][p], weights[p], values);
        }
      }
      KEDGE_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        const __m512 scale = block[p].Scale(part);
        KEDGE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const QuantizedBlock& values = x[size_t(r) * blocks + b];
          const __m512 scales = _mm512_mul_ps(scale, _mm512_set1_ps(values.scale));
          sums[r][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[r][p]), scales, sums[r][p]);
          if constexpr (HasMinimum(kForm)) {
            sums[r][p] = _mm512_fmadd_ps(block[p].Scale(1), _mm512_set1_ps(values.scaled_sum), sums[r][p]);
          }
        }
      }
    }
    KEDGE_UNROLL
    for (int p = 0; p < kPanels; ++p) block[p].Next();
  }
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KEDGE_UNROLL
    for (int p = 0; p < kPanels; ++p) _mm512_storeu_ps(out + r * out_stride + p * kPanelOutputs, sums[r][p]);
  }
}

template <PanelForm kForm, int kPanels, typename Block>
KEDGE_AVX512 void MultiplyRows(const Block* panels, int blocks, const QuantizedBlock* x, int rows, float* out,
                               size_t out_stride) {
  for (; rows >= kTileRows; rows -= kTileRows) {
    MultiplyTile<kForm, kTileRows, kPanels>(panels, blocks, x, out, out_stride);
    x += size_t(kTileRows) * blocks;
    out += kTileRows * out_stride;
  }
  switch (rows) {
    case 1:
      return MultiplyTile<kForm, 1, kPanels>(panels, blocks, x, out, out_stride);
    case 2:
      return MultiplyTile<kForm, 2, kPanels>(panels, blocks, x, out, out_stride);
    case 3:
      return MultiplyTile<kForm, 3, kPanels>(panels, blocks, x, out, out_stride);
    case 4:
      return MultiplyTile<kForm, 4, kPanels>(panels, blocks, x, out, out_stride);
    case 5:
      return MultiplyTile<kForm, 5, kPanels>(panels, blocks, x, out, out_stride);
  }
}

template <PanelForm kForm, int kPanels>
KEDGE_AVX512 void MultiplyPanels(const PanelView& weights, int panel, const QuantizedBlock* x, int rows, float* out,
                                 size_t out_stride) {
  const int blocks = weights.inputs / 32;
  PackedBlock<kForm> packed[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    packed[p].scales = weights.data + (panel + p) * weights.panel_bytes;
    packed[p].quants = packed[p].scales + weights.quants;
  }
  if (rows <= kTileRows) return MultiplyRows<kForm, kPanels>(packed, blocks, x, rows, out, out_stride);
  thread_local std::vector<WideBlock> wide;
  if (wide.size() < size_t(kPanels) * blocks) wide.resize(size_t(kPanels) * blocks);
  UnpackedBlock unpacked[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    unpacked[p].block = &wide[size_t(p) * blocks];
    Unpack(packed[p], blocks, &wide[size_t(p) * blocks]);
  }
  MultiplyRows<kForm, kPanels>(unpacked, blocks, x, rows, out, out_stride);
}

template <PanelForm kForm>
KEDGE_AVX512 void MultiplyForm(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                               int rows, float* out, size_t out_stride) {
  int p = panel_begin;
  for (; p + 2 <= panel_end; p += 2) {
    MultiplyPanels<kForm, 2>(weights, p, x, rows, out + p * kPanelOutputs, out_stride);
  }
  if (p < panel_end) MultiplyPanels<kForm, 1>(weights, p, x, rows, out + p * kPanelOutputs, out_stride);
}

// kRows rows against kPanels neighbouring panels.
template <Number kNumber, int kRows, int kPanels>
KEDGE_AVX512_INLINE void MultiplyFloatTile(const PanelView& weights, int panel, const float* x, size_t x_stride,
                                           float* out, size_t out_stride) {
  const uint8_t* data = weights.data + panel * weights.panel_bytes;
  __m512 sums[kRows][kPanels];
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KEDGE_UNROLL
    for (int p = 0; p < kPanels; ++p) sums[r][p] = _mm512_setzero_ps();
  }
  for (int k = 0; k < weights.inputs; ++k) {
    __m512 w[kPanels];
    KEDGE_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      w[p] = LoadNumbers<kNumber>(data + p * weights.panel_bytes, size_t(k) * kPanelOutputs);
    }
    KEDGE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const __m512 value = _mm512_set1_ps(x[r * x_stride + k]);
      KEDGE_UNROLL
      for (int p = 0; p < kPanels; ++p) sums[r][p] = _mm512_fmadd_ps(w[p], value, sums[r][p]);
    }
  }
  KEDGE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    KEDGE_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      _mm512_storeu_ps(out + r * out_stride + (panel + p) * kPanelOutputs, sums[r][p]);
    }
  }
}

template <Number kNumber, int kPanels>
KEDGE_AVX512 void MultiplyFloatRows(const PanelView& weights, int panel, const float* x, size_t x_stride, int rows,
                                    float* out, size_t out_stride) {
  int r = 0;
  for (; r + 4 <= rows; r += 4) {
    MultiplyFloatTile<kNumber, 4, kPanels>(weights, panel, x + r * x_stride, x_stride, out + r * out_stride,
                                           out_stride);
  }
  for (; r < rows; ++r) {
    MultiplyFloatTile<kNumber, 1, kPanels>(weights, panel, x + r * x_stride, x_stride, out + r * out_stride,
                                           out_stride);
  }
}

template <Number kNumber>
KEDGE_AVX512 void MultiplyFloatType(const PanelView& weights, int panel_begin, int panel_end, const float* x,
                                    size_t x_stride, int rows, float* out, size_t out_stride) {
  int p = panel_begin;
  for (; p + 2 <= panel_end; p += 2) MultiplyFloatRows<kNumber, 2>(weights, p, x, x_stride, rows, out, out_stride);
  if (p < panel_end) MultiplyFloatRows<kNumber, 1>(weights, p, x, x_stride, rows, out, out_stride);
}

}  // namespace

KEDGE_AVX512 void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                                    int rows, float* out, size_t out_stride) {
  switch (weights.form) {
    case PanelForm::kNibbles:
      return MultiplyForm<PanelForm::kNibbles>(weights, panel_begin, panel_end, x, rows, out, out_stride);
    case PanelForm::kNibblesMinimum:
      return MultiplyForm<PanelForm::kNibblesMinimum>(weights, panel_begin, panel_end, x, rows, out, out_stride);
    case PanelForm::kNibblesFloat:
      return MultiplyForm<PanelForm::kNibblesFloat>(weights, panel_begin, panel_end, x, rows, out, out_stride);
    case PanelForm::kBytesFloat:
      return MultiplyForm<PanelForm::kBytesFloat>(weights, panel_begin, panel_end, x, rows, out, out_stride);
    case PanelForm::kBytesTwoScales:
      return MultiplyForm<PanelForm::kBytesTwoScales>(weights, panel_begin, panel_end, x, rows, out, out_stride);
    default:
      return MultiplyForm<PanelForm::kBytes>(weights, panel_begin, panel_end, x, rows, out, out_stride);
  }
}

KEDGE_AVX512 void MultiplyFloat(const PanelView& weights, int panel_begin, int panel_end, const float* x,
                                size_t x_stride, int rows, float* out, size_t out_stride) {
  switch (weights.form) {
    case PanelForm::kF32:
      return MultiplyFloatType<Number::kF32>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
    case PanelForm::kF16:
      return MultiplyFloatType<Number::kF16>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
    default:
      return MultiplyFloatType<Number::kBF16>(weights, panel_begin, panel_end, x, x_stride, rows, out, out_stride);
  }
}

}  // namespace kedge::avx512
#endif
