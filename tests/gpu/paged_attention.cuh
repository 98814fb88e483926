// Attention of generated rows over pages, in two kernels, so that one request's work spreads over the device.
//
// RotateAndScore: scores of different pages have nothing to do with each other; a warp takes a page, a lane a row of it
// and all the query heads that share a KV head. It rotates what it needs by itself, and writes the new row's keys and
// values. WeighValues: each head's maxima and weights of all pages at once; what is left in order are the sums of the
// values, a chain for each head and column, which threads take two columns at a time.
#ifndef KEDGE_TESTS_GPU_PAGED_ATTENTION_CUH_
#define KEDGE_TESTS_GPU_PAGED_ATTENTION_CUH_

#include "common/kernels/step.h"
#include "tests/gpu/exact_rows.cuh"
#include "tests/gpu/fragments.cuh"

namespace kedge::probe {

inline constexpr int kRows = kPageRows;

// One layer: pages [page][kv head][keys, values][row][dim], halves.
struct AttentionView {
  int kv_heads;
  int page_count;         // of each request, all alike here
  const uint32_t* pages;  // [requests][page_count]
  const int* ends;        // [requests]: rows of the last page that are seen, the new one is the last of them
  __half* memory;
  float* scores;  // [requests][kv head][page][shared heads][32]
};

template <int head_dim>
__host__ __device__ constexpr size_t HeadHalves() {
  return size_t{2} * kRows * head_dim;
}

template <int head_dim>
__device__ inline __half* KeysOf(const AttentionView& view, int request, int index, int kv_head) {
  const size_t page = view.pages[size_t(request) * view.page_count + index];
  return view.memory + (page * view.kv_heads + kv_head) * HeadHalves<head_dim>();
}

inline constexpr int kScoreWarps = 4;

template <int head_dim, int shared>
struct ScoreMemory {
  float queries[shared][head_dim];
  __half keys[kScoreWarps][2][kRows][head_dim + 8];  // padded: 32 lanes read 32 rows without meeting in a bank
};

// x turned by the tables, a pair of columns.
__device__ inline float2 Turn(float2 x, float2 cos, float2 sin) {
  return {__fmaf_rn(x.x, cos.x, x.y * sin.x), __fmaf_rn(x.y, cos.y, x.x * sin.y)};
}

// qkv: [requests][heads + 2 kv heads][head_dim], queries before keys before values; bias the same for all requests, or
// nullptr; cos, sin: [requests][head_dim]. A grid of (parts, kv heads, requests), kScoreWarps warps: block p takes
// pages [p * pages_per_block, + pages_per_block).
template <int head_dim, int shared>
__global__ void __launch_bounds__(32 * kScoreWarps)
    RotateAndScore(const float* qkv, const float* bias, const float* cos, const float* sin, AttentionView view,
                   int pages_per_block) {
  using Memory = ScoreMemory<head_dim, shared>;
  Memory& memory = *reinterpret_cast<Memory*>(SharedMemory());
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int kv_head = blockIdx.y, request = blockIdx.z, heads = shared * view.kv_heads;
  const int begin = blockIdx.x * pages_per_block, end = min(begin + pages_per_block, view.page_count);
  const int last = view.page_count - 1;
  StartNext();
  const auto load = [&](int index, int slot) {
    if (index < end) {
      const __half* keys = KeysOf<head_dim>(view, request, index, kv_head);
      for (int i = lane; i < kRows * head_dim / 8; i += 32) {
        CopyAsync(&memory.keys[warp][slot][i / (head_dim / 8)][i % (head_dim / 8) * 8], keys + i * 8);
      }
    }
    CommitCopies();
  };
  load(begin + warp, 0);  // rows of earlier steps: nothing that runs now writes them
  WaitForPrevious();

  const float* in = qkv + size_t(request) * (heads + 2 * view.kv_heads) * head_dim;
  const auto pair = [&](int head, int column) {
    float2 x = *reinterpret_cast<const float2*>(in + head * head_dim + column);
    if (bias != nullptr) {
      const float2 b = *reinterpret_cast<const float2*>(bias + head * head_dim + column);
      x = {x.x + b.x, x.y + b.y};
    }
    return x;
  };
  const auto turned = [&](int head, int column) {
    return Turn(pair(head, column), *reinterpret_cast<const float2*>(cos + request * head_dim + column),
                *reinterpret_cast<const float2*>(sin + request * head_dim + column));
  };
  const float scale = 1.0f / sqrtf(static_cast<float>(head_dim));
  for (int i = threadIdx.x; i < shared * head_dim / 2; i += 32 * kScoreWarps) {
    const int head = i / (head_dim / 2), column = i % (head_dim / 2) * 2;
    const float2 x = turned(kv_head * shared + head, column);
    *reinterpret_cast<float2*>(&memory.queries[head][column]) = {x.x * scale, x.y * scale};
  }
  __syncthreads();

  int slot = 0;
  for (int index = begin + warp; index < end; index += kScoreWarps, slot ^= 1) {
    load(index + kScoreWarps, slot ^ 1);
    WaitForCopies<1>();
    __syncwarp();
    __half(*keys)[head_dim + 8] = memory.keys[warp][slot];
    if (index == last) {  // the new row: into the page, and where this warp reads it
      const int row = view.ends[request] - 1;
      __half* to = KeysOf<head_dim>(view, request, index, kv_head) + row * head_dim;
      for (int column = 2 * lane; column < head_dim; column += 64) {
        const float2 key = turned(heads + kv_head, column), value = pair(heads + view.kv_heads + kv_head, column);
        const __half2 rounded = __floats2half2_rn(key.x, key.y);
        *reinterpret_cast<__half2*>(&keys[row][column]) = rounded;
        *reinterpret_cast<__half2*>(to + column) = rounded;
        *reinterpret_cast<__half2*>(to + kRows * head_dim + column) = __floats2half2_rn(value.x, value.y);
      }
      __syncwarp();
    }
    float scores[shared] = {};
#pragma unroll 4
    for (int i = 0; i < head_dim; i += 8) {
      const uint4 eight = *reinterpret_cast<const uint4*>(&keys[lane][i]);
      const __half2* halves = reinterpret_cast<const __half2*>(&eight);
      float2 key[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) key[j] = __half22float2(halves[j]);
#pragma unroll
      for (int h = 0; h < shared; ++h) {
        const float4 low = *reinterpret_cast<const float4*>(&memory.queries[h][i]);
        const float4 high = *reinterpret_cast<const float4*>(&memory.queries[h][i + 4]);
        scores[h] = __fmaf_rn(low.x, key[0].x, scores[h]);
        scores[h] = __fmaf_rn(low.y, key[0].y, scores[h]);
        scores[h] = __fmaf_rn(low.z, key[1].x, scores[h]);
        scores[h] = __fmaf_rn(low.w, key[1].y, scores[h]);
        scores[h] = __fmaf_rn(high.x, key[2].x, scores[h]);
        scores[h] = __fmaf_rn(high.y, key[2].y, scores[h]);
        scores[h] = __fmaf_rn(high.z, key[3].x, scores[h]);
        scores[h] = __fmaf_rn(high.w, key[3].y, scores[h]);
      }
    }
    float* out = view.scores + ((size_t(request) * view.kv_heads + kv_head) * view.page_count + index) * shared * kRows;
#pragma unroll
    for (int h = 0; h < shared; ++h) out[h * kRows + lane] = scores[h];
    __syncwarp();  // the slot is read: it may be filled again
  }
}

inline constexpr int kWindow = 32;      // pages whose weights are in shared memory at once
inline constexpr int kValueStages = 4;  // pages of values on their way

template <int head_dim, int shared, int columns>
struct ValueMemory {
  __half values[kValueStages][kRows][columns];
  float weights[kWindow][shared][kRows];
  float maxima[kWindow][shared];  // of a page, then of all up to it
  float corrections[kWindow][shared];
  float page_sums[kWindow][shared];
  float state_max[shared], state_sum[shared];
  float out[shared][columns];
};

// out: [requests][heads * head_dim] in 8 bits. A grid of (head_dim / columns, kv heads, requests), a thread for two
// columns and `per_thread` of the heads; columns is 64 or 128.
template <int head_dim, int shared, int columns, int per_thread>
__global__ void __launch_bounds__(columns / 2 * (shared / per_thread)) WeighValues(AttentionView view, uint8_t* out) {
  static_assert(shared % per_thread == 0 && columns % 64 == 0);
  constexpr int kThreads = columns / 2 * (shared / per_thread), kWarps = kThreads / 32;
  using Memory = ValueMemory<head_dim, shared, columns>;
  Memory& memory = *reinterpret_cast<Memory*>(SharedMemory());
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int column = threadIdx.x % (columns / 2) * 2, first_head = threadIdx.x / (columns / 2) * per_thread;
  const int kv_head = blockIdx.y, request = blockIdx.z;
  const int last_end = view.ends[request];
  StartNext();
  const auto load = [&](int index) {  // of this block's columns
    if (index < view.page_count) {
      const __half* values = KeysOf<head_dim>(view, request, index, kv_head) + kRows * head_dim + blockIdx.x * columns;
      for (int i = threadIdx.x; i < kRows * columns / 8; i += kThreads) {
        const int row = i / (columns / 8), piece = i % (columns / 8) * 8;
        CopyAsync(&memory.values[index % kValueStages][row][piece], values + row * head_dim + piece);
      }
    }
    CommitCopies();
  };
  // The last page has the new row, which the kernel before this one writes.
  const int ready = min(kValueStages - 1, view.page_count - 1);
  for (int index = 0; index < ready; ++index) load(index);
  if (threadIdx.x < shared) {
    memory.state_max[threadIdx.x] = -INFINITY;
    memory.state_sum[threadIdx.x] = 0;
  }
  WaitForPrevious();
  for (int index = ready; index < kValueStages - 1; ++index) load(index);

  const float* scores = view.scores + (size_t(request) * view.kv_heads + kv_head) * view.page_count * shared * kRows;
  float2 sums[per_thread] = {};
  for (int first = 0; first < view.page_count; first += kWindow) {
    const int pages = min(kWindow, view.page_count - first);
    const auto seen = [&](int index) { return first + index == view.page_count - 1 ? last_end : kRows; };
    for (int i = warp; i < pages * shared; i += kWarps) {
      const float score = scores[(size_t(first) * shared + i) * kRows + lane];
      memory.weights[i / shared][i % shared][lane] = score;
      float max = lane < seen(i / shared) ? score : -INFINITY;
      for (int m = 16; m > 0; m /= 2) max = Larger(max, __shfl_xor_sync(~0u, max, m));
      if (lane == 0) memory.maxima[i / shared][i % shared] = max;
    }
    __syncthreads();
    if (threadIdx.x < shared) {
      float max = memory.state_max[threadIdx.x];
#pragma unroll 8
      for (int i = 0; i < pages; ++i) {
        const float before = max;
        max = Larger(memory.maxima[i][threadIdx.x], max);
        memory.maxima[i][threadIdx.x] = max;
        memory.corrections[i][threadIdx.x] = before;  // what it is a correction of, for now
      }
      memory.state_max[threadIdx.x] = max;
    }
    __syncthreads();
    for (int i = warp; i < pages * shared; i += kWarps) {
      float& at = memory.weights[i / shared][i % shared][lane];
      const float max = memory.maxima[i / shared][i % shared];
      const float weight = lane < seen(i / shared) ? Exp(at - max) : 0.0f;
      at = weight;
      float sum = weight + __shfl_xor_sync(~0u, weight, 8);
      sum += __shfl_xor_sync(~0u, sum, 16);
      for (int m = 4; m > 0; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
      if (lane == 0) {
        memory.page_sums[i / shared][i % shared] = sum;
        float& correction = memory.corrections[i / shared][i % shared];
        correction = Exp(correction - max);
      }
    }
    __syncthreads();
    if (threadIdx.x < shared) {
      float sum = memory.state_sum[threadIdx.x];
#pragma unroll 8
      for (int i = 0; i < pages; ++i) {
        sum = __fmaf_rn(sum, memory.corrections[i][threadIdx.x], memory.page_sums[i][threadIdx.x]);
      }
      memory.state_sum[threadIdx.x] = sum;
    }
    for (int i = 0; i < pages; ++i) {
      WaitForCopies<kValueStages - 2>();
      __syncthreads();  // the page is there for all, and all have read the stage that is filled now
      load(first + i + kValueStages - 1);
      const __half(*values)[columns] = memory.values[(first + i) % kValueStages];
#pragma unroll
      for (int h = 0; h < per_thread; ++h) {
        const float correction = memory.corrections[i][first_head + h];
        sums[h] = {sums[h].x * correction, sums[h].y * correction};
      }
      const auto add = [&](int row, const float(&weights)[per_thread]) {
        const float2 two = __half22float2(*reinterpret_cast<const __half2*>(&values[row][column]));
#pragma unroll
        for (int h = 0; h < per_thread; ++h) {
          sums[h] = {__fmaf_rn(weights[h], two.x, sums[h].x), __fmaf_rn(weights[h], two.y, sums[h].y)};
        }
      };
      const int end = seen(i);
      int row = 0;
#pragma unroll 2
      for (; row + 4 <= end; row += 4) {  // four rows' weights at once
        float4 four[per_thread];
#pragma unroll
        for (int h = 0; h < per_thread; ++h) {
          four[h] = *reinterpret_cast<const float4*>(&memory.weights[i][first_head + h][row]);
        }
        float weights[per_thread];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
#pragma unroll
          for (int h = 0; h < per_thread; ++h) {
            weights[h] = j == 0 ? four[h].x : j == 1 ? four[h].y : j == 2 ? four[h].z : four[h].w;
          }
          add(row + j, weights);
        }
      }
      for (; row < end; ++row) {
        float weights[per_thread];
#pragma unroll
        for (int h = 0; h < per_thread; ++h) weights[h] = memory.weights[i][first_head + h][row];
        add(row, weights);
      }
    }
    __syncthreads();  // the weights are read
  }
#pragma unroll
  for (int h = 0; h < per_thread; ++h) {
    const float inverse = 1.0f / memory.state_sum[first_head + h];
    *reinterpret_cast<float2*>(&memory.out[first_head + h][column]) = {sums[h].x * inverse, sums[h].y * inverse};
  }
  __syncthreads();
  for (int i = threadIdx.x; i < shared * columns / 4; i += kThreads) {
    const int head = 4 * i / columns, in_head = 4 * i % columns;
    QuantizeFour(*reinterpret_cast<const float4*>(&memory.out[head][in_head]), request,
                 (kv_head * shared + head) * head_dim + blockIdx.x * columns + in_head,
                 shared * view.kv_heads * head_dim, out);
  }
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_PAGED_ATTENTION_CUH_
