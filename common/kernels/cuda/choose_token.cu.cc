// Which token comes next, where the logits are: ChooseToken of common/kernels/choose_token.h.
//
// Three kernels. FindBest: parts of a row have a block of threads each and leave their best. SumWeights, for draws:
// the parts add their candidates' weights by buckets. ChooseRows, a block a row: what is left of the order of
// candidates is always a beginning of it, so top-k, top-p and the draw itself each look for the candidate with which a
// sum passes a target (draw.h). Weights are whole numbers: no order of threads changes a token.
//
// Where the target is so near to a candidate's end that another sum of the same weights might pass it elsewhere, the
// host decides. Tested by choose_token_test.cc.
#include "common/base/status.h"
#include "common/kernels/cuda/candidates.h"
#include "common/kernels/cuda/choose_scratch.h"
#include "common/kernels/cuda/draw.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

struct Scratch {
  Histogram* histograms;  // [rows]
  PartBest* bests;        // [rows][parts]
  int parts;
};

__device__ const float* RowOf(const FloatRows& logits, int row) { return logits.data + size_t(row) * logits.stride; }
__device__ bool IsDraw(const OutputWish& wish) { return !wish.wants_logits && wish.temperature > 0; }

// The block's part of the columns.
struct Part {
  int begin, end;
};
__device__ Part PartOf(int columns) {
  const int size = (columns + static_cast<int>(gridDim.y) - 1) / static_cast<int>(gridDim.y),
            whole = (size + 3) / 4 * 4;
  const int begin = static_cast<int>(blockIdx.y) * whole;
  return {begin, min(columns, begin + whole)};
}

__device__ void CopyToHost(const float* logits, int begin, int end, float* to) {
  for (int i = begin + threadIdx.x; i < end; i += blockDim.x) to[i] = logits[i];
}

// Blocks of threads: (rows, parts).
__global__ void __launch_bounds__(kChooseThreads)
    FindBest(FloatRows logits, const OutputWish* wishes, Scratch scratch) {
  uint64_t* joined = reinterpret_cast<uint64_t*>(SharedMemory());
  const int row = blockIdx.x;
  const OutputWish wish = wishes[row];
  const Part part = PartOf(logits.columns);
  uint64_t best = 0;
  bool is_finite = true;
  ForEachLogit(
      RowOf(logits, row), part.begin, part.end,
      [&](float logit, uint32_t id) {
        const uint64_t place = PlaceOf(Bounded(logit), id);
        best = place > best ? place : best;
        is_finite &= (__float_as_uint(logit) & 0x7f800000u) != 0x7f800000u;
        return false;
      },
      [](float, uint32_t) {});
  best = LargestInBlock(best, joined);
  const bool are_finite = __syncthreads_and(is_finite);
  if (threadIdx.x == 0) scratch.bests[row * scratch.parts + blockIdx.y] = {best, are_finite, 0};
  if (wish.wants_logits) CopyToHost(RowOf(logits, row), part.begin, part.end, wish.host_logits);
  if (blockIdx.y == 0 && IsDraw(wish)) Clear(scratch.histograms[row]);
}

// Of the whole row. All threads of the block call it together.
__device__ PartBest JoinParts(const Scratch& scratch, int row, uint64_t* joined) {
  uint64_t best = 0;
  bool is_finite = true;
  for (int part = threadIdx.x; part < scratch.parts; part += blockDim.x) {
    const PartBest& one = scratch.bests[row * scratch.parts + part];
    best = one.place > best ? one.place : best;
    is_finite &= one.is_finite != 0;
  }
  best = LargestInBlock(best, joined);
  return {best, static_cast<uint32_t>(__syncthreads_and(is_finite) != 0), 0};
}
__device__ float ValueOf(const PartBest& best) { return FromOrdered(static_cast<uint32_t>(best.place >> 32)); }

__device__ Order OrderOf(const OutputWish& wish) {
  return wish.top_k > 0 || wish.top_p < 1.0f ? Order::kByValue : Order::kById;
}

// Blocks of threads: (rows, parts).
__global__ void __launch_bounds__(kChooseThreads)
    SumWeights(FloatRows logits, const OutputWish* wishes, Scratch scratch) {
  DrawMemory& memory = *reinterpret_cast<DrawMemory*>(SharedMemory());
  const int row = blockIdx.x;
  const OutputWish wish = wishes[row];
  if (!IsDraw(wish)) return;
  const float best = ValueOf(JoinParts(scratch, row, memory.joined));
  if (best == -INFINITY) return;
  const Candidates candidates(RowOf(logits, row), logits.columns, wish, best, OrderOf(wish));
  Clear(memory.row);
  __syncthreads();
  const Part part = PartOf(logits.columns);
  AddCandidates(candidates, part.begin, part.end, memory.row);
  __syncthreads();
  for (int b = threadIdx.x; b < kBuckets; b += kChooseThreads) {
    const Sums sums = SumsOf(memory.row, b);
    if (sums.count > 0) AddTo(scratch.histograms[row], b, sums);
  }
}

// Whether no rounding, neither here nor where the order is defined, can move the end of a candidate past the target.
__device__ bool IsCertain(const FoundCandidate& found, uint64_t target, uint64_t all, int columns) {
  if (!found.is_there) return false;
  const uint64_t slack = static_cast<uint64_t>(1e-9 * static_cast<double>(all)) + columns;
  return (found.before == 0 || target - found.before > slack) && found.before + found.weight - target > slack;
}

struct Drawn {
  bool is_certain = false;
  uint32_t id = 0;
};

// memory.row: the row's candidates in OrderOf(wish).
__device__ Drawn Draw(const float* logits, int columns, const OutputWish& wish, float best, DrawMemory& memory) {
  Candidates candidates(logits, columns, wish, best, OrderOf(wish));
  Sums left = Total(memory.row, memory);
  const bool has_top_k = wish.top_k > 0 && wish.top_k < left.count, has_top_p = wish.top_p < 1.0f;
  if (OrderOf(wish) == Order::kByValue && !has_top_k && !has_top_p) {  // nothing to cut: the draw goes by id
    candidates = Candidates(logits, columns, wish, best, Order::kById);
    Clear(memory.row);
    __syncthreads();
    AddCandidates(candidates, 0, columns, memory.row);
    __syncthreads();
    left = Total(memory.row, memory);
  }
  // One look for each of the three, by the same code.
  enum Cut { kTopK, kTopP, kDraw };
#pragma unroll 1
  for (int cut = has_top_k ? kTopK : has_top_p ? kTopP : kDraw;; cut = cut == kTopK && has_top_p ? kTopP : kDraw) {
    const double share = (cut == kTopP ? double{wish.top_p} : wish.uniform) * static_cast<double>(left.mass);
    const uint64_t target = cut == kTopK ? wish.top_k - 1 : share > 0 ? static_cast<uint64_t>(share) : 0;
    const FoundCandidate found =
        FindCandidate(candidates, target, cut == kTopK ? Measure::kCount : Measure::kMass, memory);
    const bool is_exact = cut == kTopK || (cut == kTopP && share <= 0);
    if (!is_exact && !IsCertain(found, target, left.mass, columns)) return {};
    if (cut == kDraw) return {true, IdOf(found.place)};
    left.mass = found.before + found.weight;
    const bool is_last_cut = cut == kTopP || !has_top_p;
    if (is_last_cut && candidates.Value(found.place) < candidates.least_left()) {  // min-p cuts more
      uint64_t mass = 0;
      candidates.ForEach(
          0, columns, [&](float bounded, uint32_t) { return bounded >= candidates.least_left(); },
          [&](float bounded, uint32_t) { mass += candidates.Weight(bounded); });
      left.mass = SumInBlock(mass, memory.joined);
    }
  }
}

// Four blocks to a multiprocessor: without a number the assembler of sm_80 aims at five, and spills.
__global__ void __launch_bounds__(kChooseThreads, 4)
    ChooseRows(FloatRows logits, const OutputWish* wishes, Scratch scratch, ChosenToken* chosen) {
  DrawMemory& memory = *reinterpret_cast<DrawMemory*>(SharedMemory());
  const int row = blockIdx.x;
  const OutputWish wish = wishes[row];
  const float* from = RowOf(logits, row);
  const PartBest best = JoinParts(scratch, row, memory.joined);
  Drawn token = {!wish.wants_logits, IdOf(best.place)};
  if (IsDraw(wish) && ValueOf(best) != -INFINITY) {
    const Histogram& histogram = scratch.histograms[row];
    for (int b = threadIdx.x; b < kBuckets; b += kChooseThreads) {
      memory.row.low[b] = histogram.low[b];
      memory.row.high[b] = histogram.high[b];
      memory.row.count[b] = histogram.count[b];
    }
    __syncthreads();
    token = Draw(from, logits.columns, wish, ValueOf(best), memory);
    if (!token.is_certain) CopyToHost(from, 0, logits.columns, wish.host_logits);
  }
  if (threadIdx.x != 0) return;
  chosen[row] = {.token = token.is_certain ? token.id : 0,
                 .is_decided = token.is_certain,
                 .is_finite = static_cast<uint8_t>(best.is_finite)};
}

}  // namespace

absl::Status ChooseTokens(Stream& stream, const DeviceProperties& device, int rows, const FloatRows& logits,
                          const OutputWish* wishes, uint8_t* scratch, ChosenToken* chosen) {
  if (rows == 0) return absl::OkStatus();
  const int parts = PartsOf(device, rows, logits.columns);
  const Scratch shared = {.histograms = reinterpret_cast<Histogram*>(scratch),
                          .bests = reinterpret_cast<PartBest*>(scratch + rows * sizeof(Histogram)),
                          .parts = parts};
  const Extent each_row = {static_cast<unsigned>(rows)}, each_part = {each_row.x, static_cast<unsigned>(parts)};
  KEDGE_RETURN_IF_ERROR(Launch(
      stream, {.grid = each_part, .block = {kChooseThreads}, .shared_bytes = kChooseThreads / 32 * sizeof(uint64_t)},
      FindBest, logits, wishes, shared));
  KEDGE_RETURN_IF_ERROR(Launch(stream,
                               {.grid = each_part, .block = {kChooseThreads}, .shared_bytes = sizeof(DrawMemory)},
                               SumWeights, logits, wishes, shared));
  return Launch(stream, {.grid = each_row, .block = {kChooseThreads}, .shared_bytes = sizeof(DrawMemory)}, ChooseRows,
                logits, wishes, shared, chosen);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
