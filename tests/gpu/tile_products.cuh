// Products of many rows, bound by the three float operations that each block of an output costs. Tiles of 64 outputs by
// 128 rows: of 4,096 outputs and 256 rows that is one for nearly each of 132 multiprocessors. Eight warps of 32 by 32
// take weights and rows out of shared memory, where bulk copies put them four chunks ahead.
#ifndef KEDGE_TESTS_GPU_TILE_PRODUCTS_CUH_
#define KEDGE_TESTS_GPU_TILE_PRODUCTS_CUH_

#include "tests/gpu/fragments.cuh"

namespace kedge::probe {

inline constexpr int kTileGroups = 4;     // of 16 outputs
inline constexpr int kTileRowGroups = 8;  // of 16 rows
inline constexpr int kTileThreads = 256;
inline constexpr int kTileStages = 4;  // of 128 inputs

template <typename Weights>
struct FragmentStage {
  static constexpr int kRowBytes = Weights::kHasMinimum ? kRowChunkBytes : kRowSums;
  uint8_t weights[kTileGroups][Weights::kBytes];
  uint8_t rows[kTileRowGroups][kRowBytes];
};
template <typename Weights>
inline constexpr int kTileMemory = kTileStages*(sizeof(FragmentStage<Weights>) + 2 * sizeof(Barrier));

// The copies of a block of threads' tile, chunk after chunk of 128 inputs. All threads call all functions.
template <typename Weights>
class TileCopies {
 public:
  using Stage = FragmentStage<Weights>;

  // Begins with the weights, which no kernel writes.
  __device__ TileCopies(const uint8_t* weights, const uint8_t* x, int chunks, Stage* stages)
      : chunks_(chunks),
        stages_(stages),
        full_(reinterpret_cast<Barrier*>(stages + kTileStages)),
        free_(full_ + kTileStages),
        lane_(threadIdx.x % 32),
        is_first_(threadIdx.x < 32),
        weights_(weights + size_t(blockIdx.y * kTileGroups) * chunks * Weights::kBytes),
        x_(x + size_t(blockIdx.x * kTileRowGroups) * chunks * kRowChunkBytes) {
    StartNext();
    if (threadIdx.x == 0) {
      for (int i = 0; i < kTileStages; ++i) {
        InitBarrier(&full_[i], kCopyArrivals);
        InitBarrier(&free_[i], kTileThreads / 32);
      }
      PublishBarriers();
    }
    __syncthreads();
    if (!is_first_) return;
    for (int chunk = 0; chunk < kTileStages && chunk < chunks; ++chunk) CopyWeights(chunk);
  }
  // After WaitForPrevious.
  __device__ void FillRows() {
    if (!is_first_) return;
    for (int chunk = 0; chunk < kTileStages && chunk < chunks_; ++chunk) CopyRows(chunk);
  }
  __device__ const Stage& Take(int chunk) {
    WaitForBarrier(&full_[chunk % kTileStages], chunk / kTileStages % 2);
    return stages_[chunk % kTileStages];
  }
  // The warp has read the chunk.
  __device__ void Release(int chunk) {
    __syncwarp();
    if (lane_ == 0) Arrive(&free_[chunk % kTileStages]);
    if (!is_first_ || chunk + kTileStages >= chunks_) return;
    WaitForBarrier(&free_[chunk % kTileStages], chunk / kTileStages % 2);
    CopyWeights(chunk + kTileStages);
    CopyRows(chunk + kTileStages);
  }

 private:
  __device__ void CopyWeights(int chunk) {
    const int stage = chunk % kTileStages;
    for (int i = 0; i < kTileGroups; ++i) {
      CopyBulk(stages_[stage].weights[i], weights_ + (size_t(i) * chunks_ + chunk) * Weights::kBytes, Weights::kBytes,
               &full_[stage]);
    }
  }
  __device__ void CopyRows(int chunk) {
    const int stage = chunk % kTileStages;
    for (int i = 0; i < kTileRowGroups; ++i) {
      CopyBulk(stages_[stage].rows[i], x_ + (size_t(i) * chunks_ + chunk) * kRowChunkBytes, Stage::kRowBytes,
               &full_[stage]);
    }
    ArriveForBytes(&full_[stage], sizeof(Stage));
  }

  const int chunks_;
  Stage* const stages_;
  Barrier* const full_;
  Barrier* const free_;
  const int lane_;
  const bool is_first_;  // of the warp that copies
  const uint8_t* const weights_;
  const uint8_t* const x_;
};

// A thread's sums of 16 outputs by 8 rows.
__device__ inline void WriteSums(const float (&sums)[4], int output, int row, int rows, int outputs, float* out) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int r = row + lane % 4 * 2 + i % 2;
    if (r < rows) out[size_t(r) * outputs + output + lane / 4 + i / 2 * 8] = sums[i];
  }
}

// As AddBlock, of integers.
__device__ inline void AddInteger(const int (&c)[4], float a0, float a1, float b0, float b1, float (&sum)[4]) {
  sum[0] = __fmaf_rn(__int2float_rn(c[0]), a0 * b0, sum[0]);
  sum[1] = __fmaf_rn(__int2float_rn(c[1]), a0 * b1, sum[1]);
  sum[2] = __fmaf_rn(__int2float_rn(c[2]), a1 * b0, sum[2]);
  sum[3] = __fmaf_rn(__int2float_rn(c[3]), a1 * b1, sum[3]);
}

// out [rows][16 groups] = x [rows][inputs] * weights [groups][chunks]; memory of x is there for rows up to a multiple
// of 128. A grid of (rows / 128, groups / 4): tiles that share weights run side by side, and read them once.
template <typename Weights>
__global__ void __launch_bounds__(kTileThreads, 2)
    MultiplyTiles(const uint8_t* weights, const uint8_t* x, int groups, int chunks, int rows, float* out) {
  using Stage = FragmentStage<Weights>;
  TileCopies<Weights> copies(weights, x, chunks, reinterpret_cast<Stage*>(SharedMemory()));
  WaitForPrevious();
  copies.FillRows();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_group = warp % 2 * 2, warp_rows = warp / 2 * 2;  // two of each are the warp's
  float sums[2][4][4] = {};                                       // [16 outputs][8 rows][of a thread]
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const Stage& stage = copies.Take(chunk);
    WeightScales w[2];
#pragma unroll
    for (int m = 0; m < 2; ++m) Weights::LoadScales(stage.weights[warp_group + m], lane, w[m]);
#pragma unroll
    for (int b = 0; b < kChunkBlocks; ++b) {
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
          const float2 scale = *reinterpret_cast<const float2*>(from + half * kRowHalf + kRowScales + at);
#pragma unroll
          for (int m = 0; m < 2; ++m) {
            int c[4];
            float(&sum)[4] = sums[m][2 * pair + half];
            MultiplyBlock(quants[m], &values[2 * half], c);
            AddBlock(c, w[m].scale[0][b], w[m].scale[1][b], scale.x, scale.y, sum);
            if constexpr (Weights::kHasMinimum) {
              const float2 x_sum = *reinterpret_cast<const float2*>(from + kRowSums + half * kChunkBlocks * 8 * 4 + at);
              AddMinimum(w[m].minimum[0][b], w[m].minimum[1][b], x_sum.x, x_sum.y, sum);
            }
          }
        }
      }
    }
    copies.Release(chunk);
  }
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      WriteSums(sums[m][n], (blockIdx.y * kTileGroups + warp_group + m) * kGroup,
                (blockIdx.x * kTileRowGroups + warp_rows) * kGroup + n * 8, rows, groups * kGroup, out);
    }
  }
}

// The same by wgmma: four warps give 64 outputs by 64 rows to the tensor cores at once, straight from shared memory,
// and get integers back, which they turn into floats themselves.
__global__ void __launch_bounds__(kTileThreads, 2)
    MultiplyWide(const uint8_t* weights, const uint8_t* x, int groups, int chunks, int rows, float* out) {
  using Stage = FragmentStage<Q8Weights>;
  TileCopies<Q8Weights> copies(weights, x, chunks, reinterpret_cast<Stage*>(SharedMemory()));
  WaitForPrevious();
  copies.FillRows();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int first_row = warp / 4 * 64;  // of the four warps, in the tile
  float sums[8][4] = {};                // [8 rows][of a thread]
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const Stage& stage = copies.Take(chunk);
    const uint8_t* x_rows = stage.rows[first_row / kGroup];
    WeightScales w;
    Q8Weights::LoadScales(stage.weights[warp % 4], lane, w);
#pragma unroll
    for (int b = 0; b < kChunkBlocks; ++b) {
      int c[8][4];
      MultiplyMatrices(MatrixOf(stage.weights[0] + 2 * b * kCoreBytes, Q8Weights::kHalf),
                       MatrixOf(x_rows + 2 * b * kCoreBytes, kRowHalf), c);
      float2 scale[8];
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        scale[n] = *reinterpret_cast<const float2*>(x_rows + n * kRowHalf + kRowScales + (b * 8 + lane % 4 * 2) * 4);
      }
      WaitForProducts(c);
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        AddInteger(c[n], w.scale[0][b], w.scale[1][b], scale[n].x, scale[n].y, sums[n]);
      }
    }
    copies.Release(chunk);
  }
#pragma unroll
  for (int n = 0; n < 8; ++n) {
    WriteSums(sums[n], (blockIdx.y * kTileGroups + warp % 4) * kGroup,
              blockIdx.x * kTileRowGroups * kGroup + first_row + n * 8, rows, groups * kGroup, out);
  }
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_TILE_PRODUCTS_CUH_
