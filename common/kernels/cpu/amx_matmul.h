// Matrix products of 16 rows and more with AMX. A tile of sums is 16 rows by the 16 outputs of a panel; two tiles give
// it the products of a block of 32 inputs, exactly, and vectors of AVX-512 scale and add them, each lane an output's
// chain, as everywhere. So tiles replace the 8 integer instructions of a row and block, and the bits stay.
//
// Fewer rows are left to AVX-512. The last rows that do not fill a tile go through together with some before them,
// whose results are written a second time, alike.
//
// Tiles is HardwareTiles, or EmulatedTiles where a test runs all the rest on a processor without AMX.
#ifndef KEDGE_COMMON_KERNELS_CPU_AMX_MATMUL_H_
#define KEDGE_COMMON_KERNELS_CPU_AMX_MATMUL_H_

#include <immintrin.h>

#include <algorithm>
#include <vector>

#include "absl/types/span.h"
#include "common/kernels/cpu/amx_tiles.h"
#include "common/kernels/cpu/avx512.h"
#include "common/kernels/cpu/avx512_blocks.h"
#include "common/kernels/cpu/panels.h"

namespace kedge::amx {

// 16 rows against a panel.
template <template <int> typename Tiles, PanelForm kForm>
KEDGE_AVX512 void MultiplyTile(const avx512::WideBlock* weights, int blocks, const QuantizedBlock* x, float* out,
                               size_t out_stride, avx512::Prefetch& prefetch) {
  constexpr int kParts = avx512::Parts(kForm);
  constexpr int kInputs = 32 / kParts;
  // Of neighbouring parts in turn: one is read while the next is written.
  alignas(64) int32_t products[2][kTileRows][kPanelOutputs];
  __m512 sums[kTileRows];
  KEDGE_UNROLL
  for (int r = 0; r < kTileRows; ++r) sums[r] = _mm512_setzero_ps();
  for (int b = 0; b < blocks; ++b) {
    prefetch.Step();
    KEDGE_UNROLL
    for (int part = 0; part < kParts; ++part) {
      auto& product = products[(b * kParts + part) % 2];
      Tiles<kInputs>::Multiply(x[b].values + part * kInputs, blocks * sizeof(QuantizedBlock),
                                        reinterpret_cast<const int8_t*>(weights[b].groups[part * kInputs / 4]),
                                        product[0]);
      const __m512 scale = _mm512_load_ps(weights[b].scales[part]);
      KEDGE_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        const QuantizedBlock& values = x[size_t(r) * blocks + b];
        const __m512 scales = _mm512_mul_ps(scale, _mm512_set1_ps(values.scale));
        sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(product[r])), scales, sums[r]);
        if constexpr (HasMinimum(kForm)) {
          sums[r] =
              _mm512_fmadd_ps(_mm512_load_ps(weights[b].scales[1]), _mm512_set1_ps(values.scaled_sum), sums[r]);
        }
      }
    }
  }
  KEDGE_UNROLL
  for (int r = 0; r < kTileRows; ++r) _mm512_storeu_ps(out + r * out_stride, sums[r]);
}

template <template <int> typename Tiles, PanelForm kForm>
KEDGE_AVX512 void MultiplyForm(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                               int rows, float* out, size_t out_stride, absl::Span<const uint8_t> next) {
  const int blocks = weights.inputs / 32;
  thread_local std::vector<avx512::WideBlock> wide;
  if (wide.size() < size_t(blocks)) wide.resize(blocks);
  avx512::Prefetch prefetch(next, blocks * (rows / kTileRows) * (panel_end - panel_begin));
  using Shape = Tiles<32 / avx512::Parts(kForm)>;
  Shape::Begin();
  for (int p = panel_begin; p < panel_end; ++p) {
    avx512::Unpack<kForm, true>(avx512::PackedBlock<kForm>(weights, p), blocks, wide.data());
    for (int r = 0; r < rows; r += kTileRows) {
      const int row = std::min(r, rows - kTileRows);
      MultiplyTile<Tiles, kForm>(wide.data(), blocks, x + size_t(row) * blocks,
                                 out + row * out_stride + p * kPanelOutputs, out_stride, prefetch);
    }
  }
  Shape::End();
}

// As CpuKernels::multiply_quantized.
template <template <int> typename Tiles>
void Multiply(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows, float* out,
              size_t out_stride, absl::Span<const uint8_t> next) {
  if (rows < kTileRows) {
    return avx512::MultiplyQuantized(weights, panel_begin, panel_end, x, rows, out, out_stride, next);
  }
  ForQuantizedForm(weights.form, [&](auto form) {
    MultiplyForm<Tiles, form>(weights, panel_begin, panel_end, x, rows, out, out_stride, next);
  });
}

}  // namespace kedge::amx

#endif  // KEDGE_COMMON_KERNELS_CPU_AMX_MATMUL_H_
