// Attention of few rows, in two kernels, so that one row's work spreads over the device. ScorePages: scores of
// different pages have nothing to do with each other; a warp takes a page, a lane a row of it and all query heads of a
// group. WeighValues: each head's maxima and weights of many pages at once; what is left in order are the sums of the
// values, a chain for each head and column. Grids depend on the number of rows and on what they may see at most: where
// they see less, blocks end at once. Tested by attention_test.cc.
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "common/base/status.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/exp.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/page_scores.h"
#include "common/kernels/cuda/page_softmax.h"
#include "common/kernels/cuda/pages.h"
#include "common/kernels/cuda/query_heads.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr int kMostHeads = 8;  // of a group
constexpr int kMostWarps = 4;

// Scores of a head of a row: [rows][heads][the row's pages][kPageRows].
__device__ float* ScoresOf(float* scores, const StepRow& row, int heads, int head, uint32_t seen_pages) {
  return scores + (size_t{row.pages_before} * heads + size_t{seen_pages} * head) * kPageRows;
}

// --- Scores ---

// A grid of (parts, groups of heads, rows); kHeads is no less than a group. Warps take pages in turn.
template <typename T, int kHeads>
__global__ void __launch_bounds__(32 * kMostWarps, 1)
    ScorePages(Step step, int layer, int heads, HeadGroups groups, FloatRows queries, Pages pages, float* scores) {
  StartNext();
  WaitForPrevious();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const StepRow row = step.rows[blockIdx.z];
  const uint32_t seen_pages = SeenPages(row);
  if (blockIdx.x * warps >= seen_pages) return;
  const HeadGroup group = GroupOf(groups, blockIdx.y);
  const int stride = pages.stride();
  float* scaled = reinterpret_cast<float*>(SharedMemory());
  uint8_t* const all_keys = reinterpret_cast<uint8_t*>(scaled + kHeads * stride);
  T* keys = reinterpret_cast<T*>(all_keys + warp * KeyBytes<T>(stride, pages.head_dim));
  const float* query = queries.data + size_t{blockIdx.z} * queries.stride + group.first * pages.head_dim;
  const float scale = QueryScale(pages.head_dim);
#pragma unroll
  for (int head = 0; head < kHeads; ++head) {
    for (int column = threadIdx.x; column < pages.head_dim; column += blockDim.x) {
      const float value = head < group.count ? query[head * pages.head_dim + column] * scale : 0;
      scaled[QueryAt<kHeads>(head, column)] = value;
    }
  }
  __syncthreads();
  for (uint32_t i = blockIdx.x * warps + warp; i < seen_pages; i += gridDim.x * warps) {
    const PagePlace place = PlaceOf(row, step.pages, i);
    CopyKeysAsync(KeysOf<T>(pages, place.page, layer, group.kv_head), stride, pages.head_dim, SeenOf(row, place), lane,
                  32, keys);
    CommitCopies();
    WaitForCopies<0>();
    __syncwarp();
    float of_row[kHeads];
    ScoreKey(scaled, keys, stride, lane, pages.head_dim, of_row);
#pragma unroll
    for (int head = 0; head < kHeads; ++head) {
      if (head >= group.count) break;
      ScoresOf(scores, row, heads, group.first + head, seen_pages)[i * kPageRows + lane] = of_row[head];
    }
    __syncwarp();  // the keys are read: they may be overwritten
  }
}

// --- Values ---

constexpr int kWindow = 16;  // pages whose weights are in shared memory at once
constexpr int kStages = 8;   // pages of values on their way: one row has few blocks, which wait for memory
constexpr int kColumns = 64;

template <typename T>
struct ValueMemory {
  T values[kStages][kPageRows][kColumns];
  float maxima[kMostHeads][kWindow];       // of a page, then of all up to it
  float corrections[kMostHeads][kWindow];  // what they were before, then the correction
  float page_sums[kMostHeads][kWindow];
  Softmax softmax[kMostHeads];
  __half scales[kStages][kHasScales<T> ? kPageRows * ScaleBlocks(kMostHeadDim) : 1];  // of the values
  float weights[1][kWindow][kPageRows];  // [heads]; in the end their values, [heads][kColumns]
};
template <typename T>
size_t ValueBytes(int heads) {
  return sizeof(ValueMemory<T>) + (heads - 1) * sizeof(ValueMemory<T>::weights);
}

// A grid of (parts of kColumns, groups of heads, rows). A warp takes two columns a lane and kHeads heads; warps that
// have none help with the weights.
template <typename T, int kHeads>
__global__ void __launch_bounds__(32 * kMostHeads, 1)
    WeighValues(Step step, int layer, int heads, HeadGroups groups, Pages pages, float* scores, OperandRows out) {
  StartNext();
  WaitForPrevious();
  ValueMemory<T>& memory = *reinterpret_cast<ValueMemory<T>*>(SharedMemory());
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, warps = blockDim.x / 32;
  const StepRow row = step.rows[blockIdx.z];
  const HeadGroup group = GroupOf(groups, blockIdx.y);
  const int seen_pages = SeenPages(row), first_column = blockIdx.x * kColumns;
  PagePlace next = PlaceOf(row, step.pages, 0);  // one page ahead: who loads does not wait for its id
  const auto load = [&](int index) {
    if (index < seen_pages) {
      constexpr int kPiece = 16 / sizeof(T), kPieces = kColumns / kPiece;
      const SeenRows seen = SeenOf(row, next);
      T* const page_values = ValuesOf<T>(pages, next.page, layer, group.kv_head);
      CopyScalesAsync<T>(ScalesBehind(page_values, pages.stride()), pages.head_dim, thread, blockDim.x,
                         memory.scales[index % kStages]);
      const T* values = page_values + first_column;
      const int width = pages.stride() - first_column;
      for (int i = seen.begin * kPieces + thread; i < seen.end * kPieces; i += blockDim.x) {
        const int in_page = i / kPieces, piece = i % kPieces * kPiece;
        if (piece < width) {
          CopyAsync(&memory.values[index % kStages][in_page][piece], values + in_page * pages.stride() + piece);
        }
      }
      if (index + 1 < seen_pages) next = PlaceOf(row, step.pages, index + 1);
    }
    CommitCopies();
  };
  for (int index = 0; index < kStages - 1; ++index) load(index);
  if (thread < group.count) memory.softmax[thread] = {};

  const int first_head = warp * kHeads;
  float2 sums[kHeads] = {};
  for (int first = 0; first < seen_pages; first += kWindow) {
    const int window = min(kWindow, seen_pages - first);
    const auto seen_of = [&](int i) { return SeenOf(row, PlaceOf(row, step.pages, first + i)); };
    __syncthreads();  // the softmax is there, the weights before are read
#pragma unroll 4
    for (int i = warp; i < window * group.count; i += warps) {
      const int head = i / window, page = i % window;
      const SeenRows seen = seen_of(page);
      const float score = ScoresOf(scores, row, heads, group.first + head,
                                   seen_pages)[(first + page) * static_cast<int>(kPageRows) + lane];
      memory.weights[head][page][lane] = score;
      const float max = LargestOfPage(lane >= seen.begin && lane < seen.end ? score : -INFINITY);
      if (lane == 0) memory.maxima[head][page] = max;
    }
    __syncthreads();
    if (thread < group.count) {
      float max = memory.softmax[thread].max;
      for (int page = 0; page < window; ++page) {
        memory.corrections[thread][page] = max;
        memory.maxima[thread][page] = max = Larger(memory.maxima[thread][page], max);
      }
      memory.softmax[thread].max = max;
    }
    __syncthreads();
#pragma unroll 4
    for (int i = warp; i < window * group.count; i += warps) {
      const int head = i / window, page = i % window;
      const SeenRows seen = seen_of(page);
      const float max = memory.maxima[head][page];
      float& at = memory.weights[head][page][lane];
      at = lane >= seen.begin && lane < seen.end ? Exp(at - max) : 0.0f;
      const float sum = SumOfPage(at);
      if (lane == 0) {
        memory.page_sums[head][page] = sum;
        memory.corrections[head][page] = Exp(memory.corrections[head][page] - max);
      }
    }
    __syncthreads();
    if (thread < group.count) {
      float sum = memory.softmax[thread].sum;
      for (int page = 0; page < window; ++page) {
        sum = __fmaf_rn(sum, memory.corrections[thread][page], memory.page_sums[thread][page]);
      }
      memory.softmax[thread].sum = sum;
    }
    for (int page = 0; page < window; ++page) {
      WaitForCopies<kStages - 2>();
      __syncthreads();  // the page is there for all, and all have read the stage that is filled now
      load(first + page + kStages - 1);
      if (first_head >= group.count) continue;
      const T(*values)[kColumns] = memory.values[(first + page) % kStages];
      // Of the lane's columns, of row 0; what lies behind the head does the last block's again.
      const int row_scales = ScalesOfRow<T>(pages.head_dim);
      const __half* scales = memory.scales[(first + page) % kStages] +
                             min((first_column + 2 * lane) / static_cast<int>(kScaleBlock), max(row_scales - 1, 0));
      const float* weights[kHeads];
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        const int head = min(first_head + h, group.count - 1);  // one behind the last does the last one's again
        weights[h] = memory.weights[head][page];
        const float correction = memory.corrections[head][page];
        sums[h] = {sums[h].x * correction, sums[h].y * correction};
      }
      const SeenRows seen = seen_of(page);
      const auto add = [&](int in_page, const float(&weight)[kHeads]) {
        const float2 pair = LoadPair(&values[in_page][2 * lane]);
#pragma unroll
        for (int h = 0; h < kHeads; ++h) {
          float scaled = weight[h];
          if constexpr (kHasScales<T>) scaled *= __half2float(scales[in_page * row_scales]);
          sums[h] = {__fmaf_rn(scaled, pair.x, sums[h].x), __fmaf_rn(scaled, pair.y, sums[h].y)};
        }
      };
      const auto add_one = [&](int in_page) {
        float weight[kHeads];
#pragma unroll
        for (int h = 0; h < kHeads; ++h) weight[h] = weights[h][in_page];
        add(in_page, weight);
      };
      int in_page = seen.begin;
      for (; in_page < seen.end && in_page % 4 != 0; ++in_page) add_one(in_page);
#pragma unroll 2
      for (; in_page + 4 <= seen.end; in_page += 4) {
        float4 four[kHeads];
#pragma unroll
        for (int h = 0; h < kHeads; ++h) four[h] = *reinterpret_cast<const float4*>(weights[h] + in_page);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          float weight[kHeads];
#pragma unroll
          for (int h = 0; h < kHeads; ++h) {
            weight[h] = j == 0 ? four[h].x : j == 1 ? four[h].y : j == 2 ? four[h].z : four[h].w;
          }
          add(in_page + j, weight);
        }
      }
      for (; in_page < seen.end; ++in_page) add_one(in_page);
    }
  }
  __syncthreads();  // the weights are read
  float(*values)[kColumns] = reinterpret_cast<float(*)[kColumns]>(memory.weights);
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (first_head + h >= group.count) break;
    const float inverse = 1.0f / memory.softmax[first_head + h].sum;
    *reinterpret_cast<float2*>(&values[first_head + h][2 * lane]) = {sums[h].x * inverse, sums[h].y * inverse};
  }
  __syncthreads();
  for (int head = warp; head < group.count; head += warps) {
    StoreHead(values[head], blockIdx.z, (group.first + head) * pages.head_dim + first_column,
              min(kColumns, pages.head_dim - first_column), pages.head_dim, out);
  }
}

// body.operator()<n>() for the least n of the sizes that is no less than `count`, or the last one.
template <int size, int... sizes, typename Body>
absl::Status ForHeads(int count, Body body) {
  if constexpr (sizeof...(sizes) > 0) {
    if (count > size) return ForHeads<sizes...>(count, body);
  }
  return body.template operator()<size>();
}

}  // namespace

absl::Status AttendSplit(Stream& stream, const DeviceProperties& device, const Step& step, int layer, int heads,
                         int most_pages, const FloatRows& queries, const Pages& pages, float* scores,
                         const OperandRows& out) {
  if (step.num_rows == 0) return absl::OkStatus();
  const HeadGroups groups = DivideHeads(heads, pages.kv_heads, kMostHeads);
  const int group_rows = step.num_rows * pages.kv_heads * groups.count;
  const Extent grid = {1, static_cast<unsigned>(pages.kv_heads * groups.count), static_cast<unsigned>(step.num_rows)};
  KEDGE_RETURN_IF_ERROR(ForElement(pages.type, [&]<typename T>() {
    return ForHeads<1, 2, 4, kMostHeads>(groups.size, [&]<int kHeads>() {
      // A page a block as long as that does not fill the device; no more blocks than fill it a few times.
      int warps = size_t(group_rows) * most_pages < 4 * size_t(device.multiprocessors) ? 1 : kMostWarps;
      const size_t query_bytes = size_t{kHeads} * pages.stride() * sizeof(float);
      const auto bytes = [&] { return query_bytes + warps * KeyBytes<T>(pages.stride(), pages.head_dim); };
      while (warps > 1 && bytes() > static_cast<size_t>(device.shared_bytes)) --warps;
      const int parts = std::min((most_pages + warps - 1) / warps, 1 + 16 * device.multiprocessors / group_rows);
      return Launch(stream,
                    {.grid = {static_cast<unsigned>(parts), grid.y, grid.z},
                     .block = {32 * static_cast<unsigned>(warps)},
                     .shared_bytes = bytes(),
                     .early = true},
                    ScorePages<T, kHeads>, step, layer, heads, groups, queries, pages, scores);
    });
  }));
  const bool rounds = IsRoundedByHead(pages.head_dim);
  const unsigned parts = (pages.head_dim + kColumns - 1) / kColumns;
  // Heads of one warp read values once, warps of their own are sooner done: what counts depends on whether there is
  // other work to fill the device with.
  const int at_once = size_t(group_rows) * parts < 2 * size_t(device.multiprocessors) ? 1 : groups.size;
  KEDGE_RETURN_IF_ERROR(ForElement(pages.type, [&]<typename T>() {
    return ForHeads<1, 2, 4>(at_once, [&]<int kHeads>() {
      const int warps = std::max((groups.size + kHeads - 1) / kHeads, kMostWarps);
      return Launch(stream,
                    {.grid = {parts, grid.y, grid.z},
                     .block = {32 * static_cast<unsigned>(warps)},
                     .shared_bytes = ValueBytes<T>(groups.size),
                     .early = true},
                    WeighValues<T, kHeads>, step, layer, heads, groups, pages, scores,
                    rounds ? out : OperandRows{.floats = out.floats});
    });
  }));
  if (out.quantized != nullptr && !rounds) return Quantize(stream, step.num_rows, out);
  return absl::OkStatus();
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
