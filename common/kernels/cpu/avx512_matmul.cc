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

#include <algorithm>
#include <vector>

#include "common/kernels/cpu/avx512.h"
#include "common/kernels/cpu/avx512_blocks.h"
#include "common/kernels/cpu/avx512_math.h"
#include "common/kernels/cpu/panels.h"

namespace kedge::avx512 {
namespace {

constexpr int kTileRows = 6;

// kRows rows against kPanels neighbouring panels; out: of the first output.
template <PanelForm kForm, int kRows, int kPanels, typename Block>
KEDGE_AVX512_INLINE void MultiplyTile(const Block* panels, int blocks, const QuantizedBlock* x, float* out,
                                      size_t out_stride, Prefetch& prefetch) {
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
    prefetch.Step();
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
                               size_t out_stride, Prefetch prefetch) {
  for (; rows >= kTileRows; rows -= kTileRows) {
    MultiplyTile<kForm, kTileRows, kPanels>(panels, blocks, x, out, out_stride, prefetch);
    x += size_t(kTileRows) * blocks;
    out += kTileRows * out_stride;
  }
  switch (rows) {
    case 1:
      return MultiplyTile<kForm, 1, kPanels>(panels, blocks, x, out, out_stride, prefetch);
    case 2:
      return MultiplyTile<kForm, 2, kPanels>(panels, blocks, x, out, out_stride, prefetch);
    case 3:
      return MultiplyTile<kForm, 3, kPanels>(panels, blocks, x, out, out_stride, prefetch);
    case 4:
      return MultiplyTile<kForm, 4, kPanels>(panels, blocks, x, out, out_stride, prefetch);
    case 5:
      return MultiplyTile<kForm, 5, kPanels>(panels, blocks, x, out, out_stride, prefetch);
  }
}

template <PanelForm kForm, int kPanels>
KEDGE_AVX512 void MultiplyPanels(const PanelView& weights, int panel, const QuantizedBlock* x, int rows, float* out,
                                 size_t out_stride, absl::Span<const uint8_t> next) {
  const int blocks = weights.inputs / 32;
  const Prefetch prefetch(next, blocks * ((rows + kTileRows - 1) / kTileRows));
  PackedBlock<kForm> packed[kPanels];
  for (int p = 0; p < kPanels; ++p) packed[p] = PackedBlock<kForm>(weights, panel + p);
  if (rows <= kTileRows) return MultiplyRows<kForm, kPanels>(packed, blocks, x, rows, out, out_stride, prefetch);
  thread_local std::vector<WideBlock> wide;
  if (wide.size() < size_t(kPanels) * blocks) wide.resize(size_t(kPanels) * blocks);
  UnpackedBlock unpacked[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    unpacked[p].block = &wide[size_t(p) * blocks];
    Unpack<kForm, false>(packed[p], blocks, &wide[size_t(p) * blocks]);
  }
  MultiplyRows<kForm, kPanels>(unpacked, blocks, x, rows, out, out_stride, prefetch);
}

template <PanelForm kForm>
KEDGE_AVX512 void MultiplyForm(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                               int rows, float* out, size_t out_stride, absl::Span<const uint8_t> next) {
  int p = panel_begin;
  for (; p + 2 <= panel_end; p += 2) {
    const int after = std::min(panel_end - (p + 2), 2);
    MultiplyPanels<kForm, 2>(
        weights, p, x, rows, out + p * kPanelOutputs, out_stride,
        after > 0 ? absl::MakeConstSpan(weights.data + (p + 2) * weights.panel_bytes, after * weights.panel_bytes)
                  : next);
  }
  if (p < panel_end) MultiplyPanels<kForm, 1>(weights, p, x, rows, out + p * kPanelOutputs, out_stride, next);
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

void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next) {
  ForQuantizedForm(weights.form, [&](auto form) {
    MultiplyForm<form>(weights, panel_begin, panel_end, x, rows, out, out_stride, next);
  });
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
