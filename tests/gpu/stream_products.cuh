// Products of few rows, bound by the memory that weights are read from. Weights stream through rings in shared memory,
// filled by bulk copies far ahead of their use: the copies begin before the kernel in front of this one has ended, so
// memory is busy while rows are normalised or attended to.
//
// A ring belongs to one to four warps of a block of threads. They go through 16 outputs by all inputs, one tensor core
// product a block, and walk down the chains of their outputs as the products come: warp `part` those of rows 8 tiles
// part .. + 8 tiles - 1. No sum leaves its thread.
#ifndef KEDGE_TESTS_GPU_STREAM_PRODUCTS_CUH_
#define KEDGE_TESTS_GPU_STREAM_PRODUCTS_CUH_

#include "tests/gpu/fragments.cuh"

namespace kedge::probe {

struct StreamShape {
  int groups;        // of 16 outputs
  int chunks;        // of 128 inputs
  int rows;          // of x
  int rings;         // in a block of threads; blockDim.x is 32 * rings * parts
  int parts;         // warps at a ring
  int stage_chunks;  // chunks of a stage: divides `chunks`
  int stages;        // of a ring
};

// The larger part first: stages; then for each ring and stage a barrier that a stage is full and one that it is free.
template <typename Weights>
__host__ __device__ constexpr int StreamBytes(int rings, int stages, int stage_chunks) {
  return rings * stages * (stage_chunks * Weights::kBytes + 2 * static_cast<int>(sizeof(Barrier)));
}

// out [rows][16 groups] = x [rows][inputs] * weights [groups][chunks][Weights::kBytes]. A grid of any size; the best is
// a block of threads for each multiprocessor. tiles: of 8 rows, for each warp.
template <typename Weights, int tiles>
__global__ void __launch_bounds__(512)
    MultiplyStream(const uint8_t* weights, const uint8_t* x, StreamShape shape, float* out) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, ring = warp / shape.parts, part = warp % shape.parts;
  const int stage_bytes = shape.stage_chunks * Weights::kBytes;
  uint8_t* stages = SharedMemory() + ring * shape.stages * stage_bytes;
  Barrier* full =
      reinterpret_cast<Barrier*>(SharedMemory() + shape.rings * shape.stages * stage_bytes) + 2 * ring * shape.stages;
  Barrier* free = full + shape.stages;
  const bool fills = part == 0;
  StartNext();
  if (fills && lane == 0) {
    for (int i = 0; i < shape.stages; ++i) {
      InitBarrier(&full[i], kCopyArrivals);
      InitBarrier(&free[i], shape.parts);
    }
    PublishBarriers();
  }
  __syncthreads();

  const int first_group = blockIdx.x + gridDim.x * ring, step = gridDim.x * shape.rings;
  const size_t group_bytes = size_t(shape.chunks) * Weights::kBytes;
  int fill_group = first_group, fill_chunk = 0;
  const auto fill = [&](int stage) {  // the next chunks into a stage that is free
    if (fill_group >= shape.groups) return;
    CopyBulk(stages + stage * stage_bytes, weights + fill_group * group_bytes + fill_chunk * Weights::kBytes,
             stage_bytes, &full[stage]);
    ArriveForBytes(&full[stage], stage_bytes);
    fill_chunk += shape.stage_chunks;
    if (fill_chunk == shape.chunks) fill_chunk = 0, fill_group += step;
  };
  if (fills) {
    for (int i = 0; i < shape.stages; ++i) fill(i);
  }
  WaitForPrevious();

  // What a thread has of 8 rows, by the blocks of a chunk: two words of row l / 4, scales of rows 2 (l % 4) and + 1.
  struct RowPart {
    uint32_t values[kChunkBlocks][2];
    float2 scales[kChunkBlocks], sums[kChunkBlocks];
  };
  const int tile = part * tiles;
  const auto load_rows = [&](int chunk, RowPart(&to)[tiles]) {
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
      const uint8_t* from = x + (size_t((tile + n) / 2) * shape.chunks + chunk) * kRowChunkBytes;
      const int half = (tile + n) % 2;
      const bool has_row = 8 * (tile + n) + lane / 4 < shape.rows,
                 has_column = 8 * (tile + n) + lane % 4 * 2 < shape.rows;
#pragma unroll
      for (int b = 0; b < kChunkBlocks; ++b) {
        const uint8_t* words = from + half * kRowHalf + CoreByte(lane / 4, 32 * b + lane % 4 * 4);
        const int at = (b * 8 + lane % 4 * 2) * 4;
        to[n].values[b][0] = has_row ? *reinterpret_cast<const uint32_t*>(words) : 0;
        to[n].values[b][1] = has_row ? *reinterpret_cast<const uint32_t*>(words + kCoreBytes) : 0;
        to[n].scales[b] = to[n].sums[b] = {};
        if (has_column) {
          to[n].scales[b] = *reinterpret_cast<const float2*>(from + half * kRowHalf + kRowScales + at);
          if constexpr (Weights::kHasMinimum) {
            to[n].sums[b] = *reinterpret_cast<const float2*>(from + kRowSums + half * kChunkBlocks * 8 * 4 + at);
          }
        }
      }
    }
  };

  int stage = 0;
  uint32_t parity = 0;
  RowPart next[tiles];
  if (first_group < shape.groups) load_rows(0, next);
  for (int group = first_group; group < shape.groups; group += step) {
    float sums[tiles][4] = {};
    for (int chunk = 0; chunk < shape.chunks; chunk += shape.stage_chunks) {
      WaitForBarrier(&full[stage], parity);
      for (int c = 0; c < shape.stage_chunks; ++c) {
        RowPart rows[tiles];
#pragma unroll
        for (int n = 0; n < tiles; ++n) rows[n] = next[n];
        load_rows(chunk + c + 1 < shape.chunks ? chunk + c + 1 : 0, next);
        const uint8_t* from = stages + stage * stage_bytes + c * Weights::kBytes;
        uint32_t quants[kChunkBlocks][4];
#pragma unroll
        for (int b = 0; b < kChunkBlocks; ++b) Weights::Load(from, lane, b, quants[b]);
        WeightScales w;
        Weights::LoadScales(from, lane, w);
        int products[kChunkBlocks][tiles][4];
#pragma unroll
        for (int b = 0; b < kChunkBlocks; ++b) {
#pragma unroll
          for (int n = 0; n < tiles; ++n) MultiplyBlock(quants[b], rows[n].values[b], products[b][n]);
        }
#pragma unroll
        for (int b = 0; b < kChunkBlocks; ++b) {
#pragma unroll
          for (int n = 0; n < tiles; ++n) {
            AddBlock(products[b][n], w.scale[0][b], w.scale[1][b], rows[n].scales[b].x, rows[n].scales[b].y, sums[n]);
            if constexpr (Weights::kHasMinimum) {
              AddMinimum(w.minimum[0][b], w.minimum[1][b], rows[n].sums[b].x, rows[n].sums[b].y, sums[n]);
            }
          }
        }
      }
      __syncwarp();
      if (lane == 0) Arrive(&free[stage]);
      if (fills && fill_group < shape.groups) {
        WaitForBarrier(&free[stage], parity);
        fill(stage);
      }
      if (++stage == shape.stages) stage = 0, parity ^= 1;
    }
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = 8 * (tile + n) + lane % 4 * 2 + i % 2, output = group * kGroup + lane / 4 + i / 2 * 8;
        if (row < shape.rows) out[size_t(row) * shape.groups * kGroup + output] = sums[n][i];
      }
    }
  }
}

// --- On the host ---

struct StreamPlan {
  StreamShape shape;
  int tiles;  // 1 or 2
  int threads, shared_bytes;
};

// For up to 64 rows, one block of threads for each of `multiprocessors`, which streams through `ring_bytes` or less of
// shared memory. As many rings as share the outputs best.
template <typename Weights>
StreamPlan PlanStream(int outputs, int inputs, int rows, int multiprocessors, int ring_bytes) {
  StreamShape shape = {};
  shape.groups = outputs / kGroup;
  shape.chunks = inputs / kChunkInputs;
  shape.rows = rows;
  shape.parts = rows <= 8 ? 1 : rows <= 16 ? 2 : 4;
  shape.stage_chunks = shape.chunks % 2 == 0 ? 2 : 1;
  double best = 0;
  for (int rings = 1; rings <= 8 && rings * shape.parts <= 16; ++rings) {
    const int at_once = multiprocessors * rings, rounds = (shape.groups + at_once - 1) / at_once;
    const double share = static_cast<double>(shape.groups) / (at_once * rounds);
    if (share >= 0.98 * best) {
      best = share > best ? share : best;
      shape.rings = rings;
    }
  }
  if (ring_bytes / StreamBytes<Weights>(shape.rings, 1, shape.stage_chunks) < 3) shape.stage_chunks = 1;
  shape.stages = ring_bytes / StreamBytes<Weights>(shape.rings, 1, shape.stage_chunks);
  return {shape, rows <= 32 ? 1 : 2, 32 * shape.rings * shape.parts,
          StreamBytes<Weights>(shape.rings, shape.stages, shape.stage_chunks)};
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_STREAM_PRODUCTS_CUH_
