// Attention of prompts: neighbouring rows see nearly the same pages, so they go through them together; a page comes to
// shared memory once, the next one while it is computed. A warp takes eight queries, a query being a head of a row: for
// scores a lane has a row of the page, for values two columns of every 64. What a row does not see is passed over, not
// multiplied by 0: it may be memory of an earlier owner. Tested by attention_test.cc.
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/page_scores.h"
#include "common/kernels/cuda/page_softmax.h"
#include "common/kernels/cuda/pages.h"
#include "common/kernels/cuda/query_heads.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr int kMostHeads = 4;  // of a group
constexpr int kQueries = 8;    // of a warp
constexpr int kThreadsOfHead = kTileRows / kQueries * 32;
constexpr int kMostPairs = kMostHeadDim / 64;  // of a lane

// Of keys, and values, [kPageRows][stride], both with their scales.
template <typename T>
constexpr size_t StageBytes(int stride, int head_dim) {
  return KeyBytes<T>(stride, head_dim) + kPageRows * (stride * sizeof(T) + ScalesOfRow<T>(head_dim) * sizeof(__half));
}
// So often are weights there: once, or times the scales of each block of the head.
template <typename T>
__device__ constexpr int WeightCopies(int head_dim) {
  return kHasScales<T> ? ScalesOfRow<T>(head_dim) : 1;
}
// The tile's rows, then for each query of a full tile stride floats and kPageRows weights, then the stages.
template <typename T>
constexpr size_t TileBytes(int heads, int stride, int head_dim, int stages) {
  const size_t queries = kTileRows * heads;
  return kTileRows * sizeof(StepRow) + queries * (stride + kPageRows * WeightCopies<T>(head_dim)) * sizeof(float) +
         stages * StageBytes<T>(stride, head_dim);
}

// A bit for each row of a page.
__device__ uint32_t MaskOf(SeenRows seen) {
  return seen.begin < seen.end ? ~0u >> (kPageRows - seen.end) & ~0u << seen.begin : 0;
}

// Takes the rows of a page that each query sees into the sums of the values. all_seen: all queries see all rows.
// weights: [copies][kQueries][kPageRows].
template <bool all_seen, typename T, int pairs>
__device__ void AddValues(const T* values, int stride, const int (&columns)[pairs], const float* weights,
                          const uint32_t (&seen)[kQueries], float2 (&sums)[kQueries][pairs]) {
  constexpr int kRows = pairs < 4 ? 4 : 2;  // at once
  constexpr int kCopies = kHasScales<T> ? pairs : 1;  // that a lane reads
  for (int row = 0; row < static_cast<int>(kPageRows); row += kRows) {
    float2 of_rows[kRows][pairs];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int p = 0; p < pairs; ++p) of_rows[i][p] = LoadPair(values + (row + i) * stride + columns[p]);
    }
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      float4 of_query[kCopies];
#pragma unroll
      for (int k = 0; k < kCopies; ++k) {
        const int copy = kHasScales<T> ? columns[k] / static_cast<int>(kScaleBlock) : 0;
        const float* from = weights + (copy * kQueries + q) * static_cast<int>(kPageRows) + row;
        if constexpr (kRows == 4) {
          of_query[k] = *reinterpret_cast<const float4*>(from);
        } else {
          *reinterpret_cast<float2*>(&of_query[k]) = *reinterpret_cast<const float2*>(from);
        }
      }
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        if (!all_seen && (seen[q] >> (row + i) & 1) == 0) continue;
#pragma unroll
        for (int p = 0; p < pairs; ++p) {
          const float weight = reinterpret_cast<const float*>(&of_query[kHasScales<T> ? p : 0])[i];
          sums[q][p] = {__fmaf_rn(weight, of_rows[i][p].x, sums[q][p].x),
                        __fmaf_rn(weight, of_rows[i][p].y, sums[q][p].y)};
        }
      }
    }
  }
}

// A grid of (tiles, groups of heads); head_dim is at most 64 * pairs.
template <typename T, int pairs>
__global__ void __launch_bounds__(kMostHeads* kThreadsOfHead, pairs < kMostPairs ? 2 : 1)
    AttendTile(Step step, int layer, HeadGroups groups, int stages, const RowTile* tiles, FloatRows queries,
               Pages pages, OperandRows out) {
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const RowTile tile = tiles[gridDim.x - 1 - blockIdx.x];  // a prompt's last rows see the most: they begin first
  const HeadGroup group = GroupOf(groups, blockIdx.y);
  const int head_dim = pages.head_dim, stride = pages.stride(), copies = WeightCopies<T>(head_dim);
  StepRow* rows = reinterpret_cast<StepRow*>(SharedMemory());
  float* all_queries = reinterpret_cast<float*>(rows + kTileRows);
  float* all_weights = all_queries + static_cast<int>(kTileRows) * groups.size * stride;
  uint8_t* all_stages = reinterpret_cast<uint8_t*>(all_weights + kTileRows * groups.size * kPageRows * copies);
  const auto keys_of = [&](int index) {
    return reinterpret_cast<T*>(all_stages + index % stages * StageBytes<T>(stride, head_dim));
  };
  const auto values_behind = [&](T* keys) {
    return reinterpret_cast<T*>(reinterpret_cast<uint8_t*>(keys) + KeyBytes<T>(stride, head_dim));
  };

  StepRow any = step.rows[tile.begin];  // sees all that any of the rows sees
  for (uint32_t i = 1; i < tile.count; ++i) {
    const StepRow row = step.rows[tile.begin + i];
    any.recent_begin = min(any.recent_begin, row.recent_begin);
    any.position = max(any.position, row.position);
    any.kept_end = max(any.kept_end, row.kept_end);
  }
  const int seen_pages = SeenPages(any);
  PagePlace next = PlaceOf(any, step.pages, 0);  // one page ahead: who loads does not wait for its id
  const auto load = [&](int index) {
    if (index < seen_pages) {
      T *const keys = keys_of(index), *const values = values_behind(keys);
      T* const from = ValuesOf<T>(pages, next.page, layer, group.kv_head);
      const SeenRows seen = SeenOf(any, next);
      CopyKeysAsync(KeysOf<T>(pages, next.page, layer, group.kv_head), stride, head_dim, seen, thread, blockDim.x,
                    keys);
      CopyRowsAsync(from, stride, seen, thread, blockDim.x, values, stride);
      CopyScalesAsync<T>(ScalesBehind(from, stride), head_dim, thread, blockDim.x, ScalesBehind(values, stride));
      if (index + 1 < seen_pages) next = PlaceOf(any, step.pages, index + 1);
    }
    CommitCopies();
  };
  load(0);

  if (thread < static_cast<int>(tile.count)) rows[thread] = step.rows[tile.begin + thread];
  // This warp's queries, number row * group.count + head, of which so many are there; those behind the last do as if
  // they were of the last row.
  const int first_query = warp * kQueries, here = static_cast<int>(tile.count) * group.count - first_query;
  const auto row_of = [&](int q) { return min((first_query + q) / group.count, static_cast<int>(tile.count) - 1); };
  const auto column_of = [&](int q) { return (group.first + (first_query + q) % group.count) * head_dim; };
  float* scaled = all_queries + first_query * stride;  // by QueryAt; in the end the values
  float* weights = all_weights + first_query * static_cast<int>(kPageRows) * copies;
  const float scale = QueryScale(head_dim);
  uint32_t packed_rows = 0;  // four bits each
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const float* query = queries.data + size_t(tile.begin + row_of(q)) * queries.stride + column_of(q);
    for (int column = lane; column < head_dim; column += 32) {
      scaled[QueryAt<kQueries>(q, column)] = query[column] * scale;
    }
    packed_rows |= static_cast<uint32_t>(row_of(q)) << 4 * q;
  }
  int columns[pairs];
#pragma unroll
  for (int p = 0; p < pairs; ++p) {
    const int column = 64 * p + 2 * lane;
    columns[p] = column < head_dim ? column : 0;  // what is behind the head does the first one's again
  }
  Softmax softmax[kQueries];
  float2 sums[kQueries][pairs] = {};
  for (int index = 0; index < seen_pages; ++index) {
    WaitForCopies<0>();
    __syncthreads();  // the page is there for all, and all have read the one before
    if (stages > 1) load(index + 1);
    const PagePlace place = PlaceOf(any, step.pages, index);
    uint32_t seen[kQueries], seen_by_all = ~0u, seen_by_any = 0;
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      seen[q] = MaskOf(SeenOf(rows[packed_rows >> 4 * q & 15], place));
      seen_by_all &= seen[q];
      seen_by_any |= seen[q];
    }
    if (here > 0 && seen_by_any != 0) {
      T *const keys = keys_of(index), *const values = values_behind(keys);
      float scores[kQueries];
      ScoreKey(scaled, keys, stride, lane, head_dim, scores);
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        if (seen[q] == 0) continue;
        float weight;
        const float correction = TakePage(scores[q], (seen[q] >> lane & 1) != 0, softmax[q], weight);
        for (int copy = 0; copy < copies; ++copy) {
          float& at = weights[(copy * kQueries + q) * static_cast<int>(kPageRows) + lane];
          at = weight;
          if constexpr (kHasScales<T>) at *= __half2float(ScalesBehind(values, stride)[lane * copies + copy]);
        }
#pragma unroll
        for (int p = 0; p < pairs; ++p) sums[q][p] = {sums[q][p].x * correction, sums[q][p].y * correction};
      }
      __syncwarp();
      if (seen_by_all == ~0u) {
        AddValues<true, T>(values, stride, columns, weights, seen, sums);
      } else {
        AddValues<false, T>(values, stride, columns, weights, seen, sums);
      }
    }
    if (stages == 1) {
      __syncthreads();  // the page is read
      load(index + 1);
    }
  }
  __syncwarp();  // the queries are read
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const float inverse = 1.0f / softmax[q].sum;
#pragma unroll
    for (int p = 0; p < pairs; ++p) {
      if (64 * p + 2 * lane >= head_dim) continue;
      *reinterpret_cast<float2*>(scaled + q * stride + columns[p]) = {sums[q][p].x * inverse, sums[q][p].y * inverse};
    }
  }
  __syncwarp();
  for (int q = 0; q < min(kQueries, here); ++q) {
    StoreHead(scaled + q * stride, static_cast<int>(tile.begin) + row_of(q), column_of(q), head_dim, head_dim, out);
  }
}

template <int pairs, typename T>
absl::Status LaunchTiles(Stream& stream, const Step& step, int layer, int heads, const RowTile* tiles, int num_tiles,
                         const FloatRows& queries, const Pages& pages, const OperandRows& out) {
  int most = kMostHeads, stages = 2;
  HeadGroups groups = DivideHeads(heads, pages.kv_heads, most);
  const auto bytes = [&] { return TileBytes<T>(groups.size, pages.stride(), pages.head_dim, stages); };
  while (bytes() > kMostSharedBytes && (most > 1 || stages > 1)) {
    if (stages == 1) groups = DivideHeads(heads, pages.kv_heads, --most);
    stages = 3 - stages;
  }
  return Launch(stream,
                {.grid = {static_cast<unsigned>(num_tiles), static_cast<unsigned>(pages.kv_heads * groups.count)},
                 .block = {static_cast<unsigned>(groups.size * kThreadsOfHead)},
                 .shared_bytes = bytes()},
                AttendTile<T, pairs>, step, layer, groups, stages, tiles, queries, pages, out);
}

}  // namespace

absl::Status AttendTiles(Stream& stream, const Step& step, int layer, int heads, const RowTile* tiles, int num_tiles,
                         const FloatRows& queries, const Pages& pages, const OperandRows& out) {
  if (num_tiles == 0) return absl::OkStatus();
  if (pages.head_dim > kMostHeadDim) {
    return absl::InvalidArgumentError(
        absl::StrCat("head_dim is ", pages.head_dim, "; attention by tiles takes at most ", kMostHeadDim));
  }
  const bool rounds = IsRoundedByHead(pages.head_dim);
  const OperandRows to = rounds ? out : OperandRows{.floats = out.floats};
  KEDGE_RETURN_IF_ERROR(ForElement(pages.type, [&]<typename T>() {
    const auto launch = [&]<int pairs>() {
      return LaunchTiles<pairs, T>(stream, step, layer, heads, tiles, num_tiles, queries, pages, to);
    };
    if (pages.head_dim <= 64) return launch.template operator()<1>();
    if (pages.head_dim <= 128) return launch.template operator()<2>();
    return launch.template operator()<kMostPairs>();
  }));
  if (out.quantized != nullptr && !rounds) return Quantize(stream, step.num_rows, out);
  return absl::OkStatus();
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
