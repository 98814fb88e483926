// How much of its attention a head of a row gives to which rows, to the bit as GiveMass of the CPU has it. What a
// weight is worth is known only when all pages were seen, and to keep them would take memory for all rows by all pages:
// so a block goes through a query's pages twice, for the softmax and for the weights. Tested by attention_mass_test.cc.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/exp.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/page_scores.h"
#include "common/kernels/cuda/page_softmax.h"
#include "common/kernels/cuda/pages.h"
#include "common/kernels/cuda/query_heads.h"
#include "common/kernels/head_ref.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr int kMostWarps = 4;

// Of pages that the warps take at the same time.
struct MassMemory {
  float maxima[kMostWarps], corrections[kMostWarps], page_sums[kMostWarps];
  float unused[4];  // what follows is aligned for any vector
};
// Behind it: the scaled query, [stride], and for each warp the keys of a page.
template <typename T>
constexpr size_t MassBytes(const Pages& pages, int warps) {
  return sizeof(MassMemory) + pages.stride() * sizeof(float) + warps * KeyBytes<T>(pages.stride(), pages.head_dim);
}

// The number of the first range that does not end before or at the position.
__device__ uint32_t RangeOf(const uint32_t* ends, uint32_t count, uint32_t position) {
  uint32_t low = 0;
  while (low < count) {
    const uint32_t middle = low + (count - low) / 2;
    if (ends[middle] <= position) {
      low = middle + 1;
    } else {
      count = middle;
    }
  }
  return low;
}

// By a warp: parts of a lane's row are added to its range. Lanes of one range are added up first.
__device__ void AddParts(uint32_t range, uint32_t num_ranges, uint32_t parts, uint32_t* mass) {
  const uint32_t lane = threadIdx.x % 32;
  while (true) {
    const uint32_t least = __reduce_min_sync(~0u, range);
    if (least >= num_ranges) return;
    const uint32_t sum = __reduce_add_sync(~0u, range == least ? parts : 0);
    if (lane == 0) atomicAdd(&mass[least], sum);
    if (range == least) range = UINT32_MAX;
  }
}

// A block a query.
template <typename T>
__global__ void __launch_bounds__(32 * kMostWarps)
    GiveMassOf(Step step, int layer, HeadGroups groups, const MassQuery* wanted, const uint32_t* ends,
               FloatRows queries, Pages pages, uint32_t* mass) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const MassQuery query = wanted[blockIdx.x];
  const StepRow row = step.rows[query.row];
  const int head_dim = pages.head_dim, stride = pages.stride();
  const int kv_head = static_cast<int>(query.head) / groups.shared;
  MassMemory& memory = *reinterpret_cast<MassMemory*>(SharedMemory());
  float* scaled = reinterpret_cast<float*>(&memory + 1);
  T* keys = reinterpret_cast<T*>(reinterpret_cast<uint8_t*>(scaled + stride) + warp * KeyBytes<T>(stride, head_dim));
  const float* from = queries.data + size_t{query.row} * queries.stride + query.head * head_dim;
  const float scale = QueryScale(head_dim);
  for (int i = threadIdx.x; i < head_dim; i += blockDim.x) scaled[QueryAt<1>(0, i)] = from[i] * scale;
  __syncthreads();

  // Goes through pages [begin, end), `max` being the largest score before them, and calls take(pages at once) behind
  // weigh(the page's place, what the row sees, weight, maximum up to it, maximum before it).
  const auto go_through = [&](uint32_t begin, uint32_t end, float& max, auto weigh, auto take) {
    for (uint32_t first = begin; first < end; first += warps) {
      const int at_once = min(static_cast<uint32_t>(warps), end - first);
      PagePlace place{};
      bool is_seen = false;
      float score[1] = {};
      if (warp < at_once) {
        place = PlaceOf(row, step.pages, first + warp);
        const SeenRows seen = SeenOf(row, place);
        CopyKeysAsync(KeysOf<T>(pages, place.page, layer, kv_head), stride, head_dim, seen, lane, 32, keys);
        CommitCopies();
        WaitForCopies<0>();
        __syncwarp();
        ScoreKey(scaled, keys, stride, lane, head_dim, score);
        is_seen = lane >= seen.begin && lane < seen.end;
        const float page_max = LargestOfPage(is_seen ? score[0] : -INFINITY);
        if (lane == 0) memory.maxima[warp] = page_max;
      }
      __syncthreads();
      for (int w = 0; w < at_once; ++w) {
        const float up_to = Larger(memory.maxima[w], max);
        if (w == warp) weigh(place, is_seen, is_seen ? Exp(score[0] - up_to) : 0.0f, up_to, max);
        max = up_to;
      }
      __syncthreads();  // maxima are read, and what weigh stored is there
      take(at_once);
    }
  };
  Softmax softmax;
  const auto note_page = [&](const PagePlace&, bool, float weight, float max, float before) {
    const float sum = SumOfPage(weight);
    if (lane != 0) return;
    memory.page_sums[warp] = sum;
    memory.corrections[warp] = Exp(before - max);
  };
  const auto add_pages = [&](int at_once) {
    for (int w = 0; w < at_once; ++w) {
      softmax.sum = __fmaf_rn(softmax.sum, memory.corrections[w], memory.page_sums[w]);
    }
  };
  const uint32_t kept_pages = KeptPages(row), seen_pages = SeenPages(row);
  go_through(0, kept_pages, softmax.max, note_page, add_pages);
  float max = softmax.max;  // of K: only R is told
  go_through(kept_pages, seen_pages, softmax.max, note_page, add_pages);
  const auto tell_page = [&](const PagePlace& place, bool is_seen, float weight, float up_to, float) {
    const float factor = Exp(up_to - softmax.max) / softmax.sum * static_cast<float>(kMassOne);
    const uint32_t parts = is_seen ? static_cast<uint32_t>(weight * factor + 0.5f) : 0;
    const uint32_t range = is_seen ? RangeOf(ends + query.first_end, query.num_ends, place.start + lane) : UINT32_MAX;
    AddParts(range, query.num_ends, parts, mass + query.first_mass);
  };
  go_through(kept_pages, seen_pages, max, tell_page, [](int) {});
}

}  // namespace

absl::Status GiveMass(Stream& stream, const Step& step, int layer, int heads, const MassQuery* wanted, int num_wanted,
                      const uint32_t* ends, const FloatRows& queries, const Pages& pages, uint32_t* mass) {
  if (num_wanted == 0) return absl::OkStatus();
  const HeadGroups groups = DivideHeads(heads, pages.kv_heads, heads);
  return ForElement(pages.type, [&]<typename T>() {
    int warps = kMostWarps;
    while (warps > 1 && MassBytes<T>(pages, warps) > kMostSharedBytes) --warps;
    return Launch(stream,
                  {.grid = {static_cast<unsigned>(num_wanted)},
                   .block = {32 * static_cast<unsigned>(warps)},
                   .shared_bytes = MassBytes<T>(pages, warps)},
                  GiveMassOf<T>, step, layer, groups, wanted, ends, queries, pages, mass);
  });
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
