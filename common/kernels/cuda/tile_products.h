// Products of many rows, bound by the three float operations that each block of an output costs. Tiles of 64 outputs by
// 128 rows: of 4,096 outputs and 256 rows that is one for nearly each of 132 multiprocessors. Eight warps of 32 by 32
// take weights and rows out of shared memory, where copies put them some chunks ahead.
#ifndef KEDGE_COMMON_KERNELS_CUDA_TILE_PRODUCTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_TILE_PRODUCTS_H_

#include "common/kernels/cuda/quantized_sums.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

inline constexpr int kTileGroups = 4;  // of 16 outputs
inline constexpr int kTileOutputs = kTileGroups * kGroup;
inline constexpr int kTileRowGroups = 8;  // of 16 rows
static_assert(kTileRowGroups * kGroup == kOperandRows);
inline constexpr int kTileThreads = 256;
inline constexpr int kMostTileStages = 4;

// A chunk of all outputs and rows.
template <typename Weights>
struct TileStage {
  static constexpr int kRowBytes = Weights::kHasMinimum ? kRowChunkBytes : kRowSums;
  uint8_t weights[kTileGroups][Weights::kBytes];
  uint8_t rows[kTileRowGroups][kRowBytes];
};
template <typename Weights>
constexpr int TileBytes(int stages) {
  return stages * static_cast<int>(sizeof(TileStage<Weights>) + 2 * sizeof(Barrier));
}

// The copies of a block of threads' tile, chunk after chunk. All threads call all functions, in turn.
template <typename Weights>
class TileCopies {
 public:
  using Stage = TileStage<Weights>;

  __device__ TileCopies(const Segments& segments, const uint8_t* x, int chunks, int stages)
      : segments_(segments), x_(x), chunks_(chunks), stages_(stages), fills_(threadIdx.x < 32) {
    if (threadIdx.x == 0) {
      for (int i = 0; i < stages; ++i) {
        InitBarrier(full(i), kCopyArrivals);
        InitBarrier(free(i), kTileThreads / 32);
      }
      PublishBarriers();
    }
    __syncthreads();
    if (!fills_) return;
    for (int i = 0; i < stages && i < chunks; ++i) Fill(i, i);
  }
  __device__ const Stage& Take() {
    WaitForBarrier(full(stage_), parity_);
    return stage(stage_);
  }
  // The warp has read the chunk, which is number `chunk`.
  __device__ void Release(int chunk) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) Arrive(free(stage_));
    if (fills_ && chunk + stages_ < chunks_) {
      WaitForBarrier(free(stage_), parity_);
      Fill(stage_, chunk + stages_);
    }
    if (++stage_ == stages_) stage_ = 0, parity_ ^= 1;
  }

 private:
  __device__ Stage& stage(int i) const { return reinterpret_cast<Stage*>(SharedMemory())[i]; }
  __device__ Barrier* full(int i) const { return reinterpret_cast<Barrier*>(&stage(stages_)) + i; }
  __device__ Barrier* free(int i) const { return full(stages_ + i); }

  // Where the tile has more groups than the matrix, the last one stands for them.
  __device__ void Fill(int i, int chunk) {
    const Segment segment = segments_.Find(blockIdx.y);
    const int first = (blockIdx.y - segment.first) * kTileGroups, last = GroupsOf(segment.outputs) - 1;
    for (int g = 0; g < kTileGroups; ++g) {
      const size_t from = size_t(min(first + g, last)) * chunks_ + chunk;
      CopyBulk(stage(i).weights[g], segment.weights + from * Weights::kBytes, Weights::kBytes, full(i));
    }
    for (int g = 0; g < kTileRowGroups; ++g) {
      const size_t from = size_t(blockIdx.x * kTileRowGroups + g) * chunks_ + chunk;
      CopyBulk(stage(i).rows[g], x_ + from * kRowChunkBytes, Stage::kRowBytes, full(i));
    }
    ArriveForBytes(full(i), sizeof(Stage));
  }

  const Segments& segments_;
  const uint8_t* const x_;
  const int chunks_, stages_;
  const bool fills_;
  int stage_ = 0;
  uint32_t parity_ = 0;
};

// x: OperandRows::quantized. A grid of (rows / 128, the segments' tiles): tiles that share weights run side by side,
// and read them once.
template <WeightForm form>
__global__ void __launch_bounds__(kTileThreads, 2)
    MultiplyTiles(Segments segments, const uint8_t* x, int rows, int chunks, int stages) {
  using Weights = QuantizedWeights<form>;
  TileCopies<Weights> copies(segments, x, chunks, stages);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_group = warp % 2 * 2, warp_rows = warp / 2 * 2;  // two of each are the warp's
  float sums[2][4][4] = {};                                       // [16 outputs][8 rows][of a thread]
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const TileStage<Weights>& stage = copies.Take();
    OutputScales<form> w[2][2];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        w[m][half] = Weights::LoadScales(stage.weights[warp_group + m], lane / 4 + 8 * half);
      }
    }
#pragma unroll
    for (int b = 0; b < kChunkBlocks; ++b) {
      // The assembler moves nothing across: it would begin these products with the first ones' still to be added, which
      // is more than the registers hold.
      if (b == kChunkBlocks / 2) __syncwarp();
      uint32_t quants[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) Weights::Load(stage.weights[warp_group + m], lane, b, quants[m]);
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        const uint8_t* from = stage.rows[warp_rows + pair];
        uint32_t values[4];  // of rows 0-7, then of 8-15
        LoadFragments(from + lane / 16 * kRowHalf + (2 * b + lane / 8 % 2) * kCoreBytes + lane % 8 * 16, values);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int at = (b * 8 + lane % 4 * 2) * 4;
          const float2 scales = *reinterpret_cast<const float2*>(from + half * kRowHalf + kRowScales + at);
          float2 row_sums = {};
          if constexpr (Weights::kHasMinimum) {
            row_sums = *reinterpret_cast<const float2*>(from + kRowSums + half * kChunkBlocks * 8 * 4 + at);
          }
#pragma unroll
          for (int m = 0; m < 2; ++m) {
            BlockProducts<form> products;
            products.Multiply(quants[m], values[2 * half], values[2 * half + 1]);
            products.AddTo(w[m], b, scales, row_sums, sums[m][2 * pair + half]);
          }
        }
      }
    }
    copies.Release(chunk);
  }
  const Segment segment = segments.Find(blockIdx.y);
  const int first_group = (blockIdx.y - segment.first) * kTileGroups;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      WriteSums(sums[m][n], segment, first_group + warp_group + m,
                (blockIdx.x * kTileRowGroups + warp_rows) * kGroup + n * 8, rows);
    }
  }
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_TILE_PRODUCTS_H_
