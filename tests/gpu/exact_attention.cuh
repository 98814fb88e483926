// Attention over pages, the twin of common/kernels/cpu/attention.cc with scalar_attention.cc. A page's 32 rows are the
// lanes of a warp while scores are computed, each a chain over the head; its sums are butterflies; then a lane holds
// four columns of the values, each a chain over the rows.
#ifndef KEDGE_TESTS_GPU_EXACT_ATTENTION_CUH_
#define KEDGE_TESTS_GPU_EXACT_ATTENTION_CUH_

#include <cuda_fp16.h>

#include "common/kernels/step.h"
#include "tests/gpu/exact_products.cuh"
#include "tests/gpu/exact_rows.cuh"

namespace kedge::probe {

inline constexpr int kHeadDim = 128;  // of Llama 3.1 8B, as the following
inline constexpr int kKvHeads = 8;
inline constexpr int kSharedHeads = 4;  // query heads that read one KV head
inline constexpr int kHeads = kKvHeads * kSharedHeads;
// A page of one layer, in halves: [kv head][keys, values][row][dim], the order of a frame.
inline constexpr size_t kHeadHalves = 2 * kPageRows * kHeadDim;
inline constexpr size_t kLayerPageHalves = kKvHeads * kHeadHalves;

struct SeenPage {
  uint32_t page;
  int begin, end;  // rows
};

struct AttentionStage {
  __half keys[kPageRows][kHeadDim + 8];  // padded: 32 lanes read 32 rows without meeting in a bank
  __half values[kPageRows][kHeadDim];
};

// queries, out: [streams][heads][dim]; seen: [streams][pages]. A block of four warps a KV head (blockIdx.x) and stream
// (blockIdx.y); a warp a query head; all read a page that was copied to shared memory once, the next one on its way.
__global__ void __launch_bounds__(32 * kSharedHeads)
    Attend(const float* queries, const __half* pages, const SeenPage* seen, int page_count, float* out) {
  __shared__ __align__(16) AttentionStage stages[2];
  __shared__ __align__(16) float scaled[kSharedHeads][kHeadDim];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  seen += size_t(blockIdx.y) * page_count;
  const size_t head = size_t(blockIdx.y) * kHeads + blockIdx.x * kSharedHeads + warp;
  const float scale = 1.0f / sqrtf(static_cast<float>(kHeadDim));
  for (int i = lane; i < kHeadDim; i += 32) scaled[warp][i] = queries[head * kHeadDim + i] * scale;

  const auto load = [&](int index) {
    const __half* keys = pages + seen[index].page * kLayerPageHalves + blockIdx.x * kHeadHalves;
    const __half* values = keys + kPageRows * kHeadDim;
    AttentionStage& stage = stages[index % 2];
    for (int i = threadIdx.x; i < static_cast<int>(kPageRows) * kHeadDim / 8; i += 32 * kSharedHeads) {
      const int row = i / (kHeadDim / 8), piece = i % (kHeadDim / 8) * 8;
      CopyAsync(&stage.keys[row][piece], keys + i * 8);
      CopyAsync(&stage.values[row][piece], values + i * 8);
    }
  };
  load(0);
  CommitCopies();
  float state_max = -INFINITY, state_sum = 0;
  float sums[4] = {};
  for (int index = 0; index < page_count; ++index) {
    if (index + 1 < page_count) load(index + 1);
    CommitCopies();
    WaitForCopies<1>();
    __syncthreads();
    const AttentionStage& stage = stages[index % 2];
    const int begin = seen[index].begin, end = seen[index].end;
    if (begin < end) {
      float score = 0;
#pragma unroll
      for (int i = 0; i < kHeadDim; i += 8) {
        const int4 eight = *reinterpret_cast<const int4*>(&stage.keys[lane][i]);
        const __half2* keys = reinterpret_cast<const __half2*>(&eight);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float2 two = __half22float2(keys[j]);
          score = __fmaf_rn(scaled[warp][i + 2 * j], two.x, score);
          score = __fmaf_rn(scaled[warp][i + 2 * j + 1], two.y, score);
        }
      }
      const bool is_seen = lane >= begin && lane < end;
      float max = is_seen ? score : -INFINITY;
      for (int m = 16; m > 0; m /= 2) max = Larger(max, __shfl_xor_sync(~0u, max, m));
      max = Larger(max, state_max);
      const float weight = is_seen ? Exp(score - max) : 0.0f;
      float page_sum = weight + __shfl_xor_sync(~0u, weight, 8);
      page_sum += __shfl_xor_sync(~0u, page_sum, 16);
      for (int m = 4; m > 0; m /= 2) page_sum += __shfl_xor_sync(~0u, page_sum, m);
      const float correction = Exp(state_max - max);
      state_sum = __fmaf_rn(state_sum, correction, page_sum);
      state_max = max;
      for (float& sum : sums) sum *= correction;
#pragma unroll 8
      for (int row = begin; row < end; ++row) {
        const float w = __shfl_sync(~0u, weight, row);
        const __half2* values = reinterpret_cast<const __half2*>(&stage.values[row][4 * lane]);
        const float2 low = __half22float2(values[0]), high = __half22float2(values[1]);
        sums[0] = __fmaf_rn(w, low.x, sums[0]);
        sums[1] = __fmaf_rn(w, low.y, sums[1]);
        sums[2] = __fmaf_rn(w, high.x, sums[2]);
        sums[3] = __fmaf_rn(w, high.y, sums[3]);
      }
    }
    __syncthreads();  // the stage is read: it may be filled again
  }
  const float inverse = 1.0f / state_sum;
  *reinterpret_cast<float4*>(&out[head * kHeadDim + 4 * lane]) = {sums[0] * inverse, sums[1] * inverse,
                                                                  sums[2] * inverse, sums[3] * inverse};
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_EXACT_ATTENTION_CUH_
