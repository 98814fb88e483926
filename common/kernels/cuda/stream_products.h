// Products of few rows, bound by the memory that weights are read from. Warps go through 16 outputs by all inputs, one
// tensor core product a block, and walk down the chains of their outputs as the products come: warp `part` of a ring
// those of rows 8 tiles part .. + 8 tiles - 1. No sum leaves its thread.
#ifndef KEDGE_COMMON_KERNELS_CUDA_STREAM_PRODUCTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_STREAM_PRODUCTS_H_

#include "common/kernels/cuda/quantized_sums.h"
#include "common/kernels/cuda/weight_ring.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

inline constexpr int kStreamRows = 64;  // at most
// Of a block, at most: so that registers hold a chunk's rows and the next one's.
constexpr int StreamWarps(int tiles) { return tiles == 1 ? 16 : 12; }

// x: OperandRows::quantized. tiles: of 8 rows, for each warp.
template <WeightForm form, int tiles>
__global__ void __launch_bounds__(32 * StreamWarps(tiles), 1)
    MultiplyStream(Segments segments, const uint8_t* x, int rows, RingShape shape) {
  using Weights = QuantizedWeights<form>;
  const int lane = threadIdx.x % 32;
  WeightRing<Weights::kBytes> ring(segments, shape);
  const int tile = ring.part() * tiles;

  // What a thread has of 8 rows, by the blocks of a chunk: two words of row l / 4, scales of rows 2 (l % 4) and + 1.
  struct RowPart {
    uint32_t words[kChunkBlocks][2];
    float2 scales[kChunkBlocks], sums[kChunkBlocks];
  };
  const auto load_rows = [&](int chunk, RowPart(&to)[tiles]) {
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
      const uint8_t* from = x + (size_t((tile + n) / 2) * shape.chunks + chunk) * kRowChunkBytes;
      const int half = (tile + n) % 2;
      const bool has_row = 8 * (tile + n) + lane / 4 < rows, has_column = 8 * (tile + n) + lane % 4 * 2 < rows;
#pragma unroll
      for (int b = 0; b < kChunkBlocks; ++b) {
        const uint8_t* words = from + half * kRowHalf + CoreByte(lane / 4, 32 * b + lane % 4 * 4);
        const int at = (b * 8 + lane % 4 * 2) * 4;
        to[n].words[b][0] = has_row ? *reinterpret_cast<const uint32_t*>(words) : 0;
        to[n].words[b][1] = has_row ? *reinterpret_cast<const uint32_t*>(words + kCoreBytes) : 0;
        to[n].scales[b] = to[n].sums[b] = {};
        if (!has_column) continue;
        to[n].scales[b] = *reinterpret_cast<const float2*>(from + half * kRowHalf + kRowScales + at);
        if constexpr (Weights::kHasMinimum) {
          to[n].sums[b] = *reinterpret_cast<const float2*>(from + kRowSums + half * kChunkBlocks * 8 * 4 + at);
        }
      }
    }
  };

  RowPart next[tiles];
  if (ring.HasGroup()) load_rows(0, next);
  for (; ring.HasGroup(); ring.NextGroup()) {
    float sums[tiles][4] = {};
    for (int chunk = 0; chunk < shape.chunks; chunk += shape.stage_chunks) {
      const uint8_t* stage = ring.Take();
      for (int c = chunk; c < chunk + shape.stage_chunks; ++c, stage += Weights::kBytes) {
        RowPart part[tiles];
#pragma unroll
        for (int n = 0; n < tiles; ++n) part[n] = next[n];
        load_rows(c + 1 < shape.chunks ? c + 1 : 0, next);
        const OutputScales<form> w[2] = {Weights::LoadScales(stage, lane / 4),
                                         Weights::LoadScales(stage, lane / 4 + 8)};
        constexpr int kAtOnce = kChunkBlocks / tiles;  // blocks
#pragma unroll
        for (int first = 0; first < kChunkBlocks; first += kAtOnce) {
          BlockProducts<form> products[kAtOnce][tiles];
#pragma unroll
          for (int i = 0; i < kAtOnce; ++i) {
            uint32_t quants[4];
            Weights::Load(stage, lane, first + i, quants);
#pragma unroll
            for (int n = 0; n < tiles; ++n) {
              products[i][n].Multiply(quants, part[n].words[first + i][0], part[n].words[first + i][1]);
            }
          }
#pragma unroll
          for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
            for (int n = 0; n < tiles; ++n) {
              products[i][n].AddTo(w, first + i, part[n].scales[first + i], part[n].sums[first + i], sums[n]);
            }
          }
        }
      }
      ring.Release();
    }
    const Segment segment = segments.Find(ring.group());
#pragma unroll
    for (int n = 0; n < tiles; ++n) WriteSums(sums[n], segment, ring.group() - segment.first, 8 * (tile + n), rows);
  }
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_STREAM_PRODUCTS_H_
