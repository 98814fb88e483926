// How a block of threads finds the candidate with which a sum along the order passes a target: by buckets, and within
// the bucket that decides by smaller ones, until few are left, whose places are compared one by one.
#ifndef KEDGE_COMMON_KERNELS_CUDA_DRAW_H_
#define KEDGE_COMMON_KERNELS_CUDA_DRAW_H_

#include <cstdint>

#include "common/kernels/cuda/candidates.h"
#include "common/kernels/cuda/choose_scratch.h"
#include "common/kernels/cuda/device.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

constexpr int kChooseThreads = 256;  // of a block

struct Sums {
  uint64_t mass = 0;
  uint32_t count = 0;
};
__device__ inline Sums operator+(Sums a, Sums b) { return {a.mass + b.mass, a.count + b.count}; }

enum class Measure { kMass, kCount };
__device__ inline uint64_t Measured(Sums sums, Measure by) { return by == Measure::kMass ? sums.mass : sums.count; }

// Part of a histogram: those that stand before it in the order, and those in it. bucket < 0: there is none.
struct Found {
  int bucket = -1;
  Sums before, in;
};
struct FoundCandidate {
  bool is_there = false;
  uint64_t place = 0;  // Candidates::Place
  uint64_t before = 0, weight = 0;
};

struct DrawMemory {
  Histogram row, part;
  uint64_t places[kChooseThreads], weights[kChooseThreads];
  uint32_t members;
  Sums of_warps[kChooseThreads / 32];
  uint64_t joined[kChooseThreads / 32];
  Found found;
  FoundCandidate candidate;
};

// All threads of the block call these functions together.

template <typename Join>
__device__ uint64_t JoinInBlock(uint64_t value, Join join, uint64_t* joined) {
  for (int m = 16; m > 0; m /= 2) value = join(value, __shfl_xor_sync(~0u, value, m));
  if (threadIdx.x % 32 == 0) joined[threadIdx.x / 32] = value;
  __syncthreads();
  value = joined[0];
  for (int w = 1; w < kChooseThreads / 32; ++w) value = join(value, joined[w]);
  __syncthreads();  // read: may be written again
  return value;
}
__device__ inline uint64_t LargestInBlock(uint64_t value, uint64_t* joined) {
  return JoinInBlock(
      value, [](uint64_t a, uint64_t b) { return a > b ? a : b; }, joined);
}
__device__ inline uint64_t LeastInBlock(uint64_t value, uint64_t* joined) {
  return JoinInBlock(
      value, [](uint64_t a, uint64_t b) { return a < b ? a : b; }, joined);
}
__device__ inline uint64_t SumInBlock(uint64_t value, uint64_t* joined) {
  return JoinInBlock(
      value, [](uint64_t a, uint64_t b) { return a + b; }, joined);
}

__device__ inline void Clear(Histogram& histogram) {
  for (int b = threadIdx.x; b < kBuckets; b += kChooseThreads) {
    histogram.low[b] = histogram.high[b] = histogram.count[b] = 0;
  }
}
// By any thread at any time: a carry is who passes 2^32's.
__device__ inline void AddTo(Histogram& histogram, int bucket, Sums sums) {
  const uint32_t low = static_cast<uint32_t>(sums.mass), before = atomicAdd(&histogram.low[bucket], low);
  const uint32_t high = static_cast<uint32_t>(sums.mass >> 32) + (before + low < low);
  if (high != 0) atomicAdd(&histogram.high[bucket], high);
  atomicAdd(&histogram.count[bucket], sums.count);
}
__device__ inline Sums SumsOf(const Histogram& histogram, int bucket) {
  return {uint64_t{histogram.high[bucket]} << 32 | histogram.low[bucket], histogram.count[bucket]};
}

// Adds the candidates of [begin, end).
__device__ inline void AddCandidates(const Candidates& candidates, int begin, int end, Histogram& histogram) {
  candidates.ForEach(
      begin, end, [](float, uint32_t) { return true; },
      [&](float bounded, uint32_t id) {
        AddTo(histogram, candidates.Bucket(bounded, id), {candidates.Weight(bounded), 1});
      });
}

__device__ inline Sums Total(const Histogram& histogram, DrawMemory& memory) {
  Sums mine;
  for (int b = threadIdx.x; b < kBuckets; b += kChooseThreads) mine = mine + SumsOf(histogram, b);
  const uint64_t mass = SumInBlock(mine.mass, memory.joined);
  return {mass, static_cast<uint32_t>(SumInBlock(mine.count, memory.joined))};
}

// The bucket with which the sum that begins with `before` goes beyond `target`.
__device__ inline Found FindBucket(const Histogram& histogram, Sums before, uint64_t target, Measure by,
                                   DrawMemory& memory) {
  constexpr int kMine = kBuckets / kChooseThreads;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Sums mine;
  for (int k = 0; k < kMine; ++k) mine = mine + SumsOf(histogram, threadIdx.x * kMine + k);
  Sums up_to = mine;
  for (int d = 1; d < 32; d *= 2) {
    const uint64_t mass = __shfl_up_sync(~0u, up_to.mass, d);
    const uint32_t count = __shfl_up_sync(~0u, up_to.count, d);
    if (lane >= d) up_to = up_to + Sums{mass, count};
  }
  if (lane == 31) memory.of_warps[warp] = up_to;
  if (threadIdx.x == 0) memory.found.bucket = -1;
  __syncthreads();
  for (int w = 0; w < warp; ++w) before = before + memory.of_warps[w];
  before = before + Sums{up_to.mass - mine.mass, up_to.count - mine.count};
  for (int k = 0; k < kMine; ++k) {
    const int bucket = threadIdx.x * kMine + k;
    const Sums in = SumsOf(histogram, bucket);
    if (Measured(before, by) <= target && target < Measured(before + in, by)) memory.found = {bucket, before, in};
    before = before + in;
  }
  __syncthreads();
  const Found found = memory.found;
  __syncthreads();
  return found;
}

// The candidate with which the sum goes beyond `target`. memory.row: the candidates by Candidates::Bucket.
__device__ inline FoundCandidate FindCandidate(const Candidates& candidates, uint64_t target, Measure by,
                                               DrawMemory& memory) {
  Found found = FindBucket(memory.row, {}, target, by, memory);
  if (found.bucket < 0) return {};
  const int bucket = found.bucket;
  uint64_t low = 0, high = ~uint64_t{0};  // places that are still in question
  const auto for_each_member = [&](auto f) {
    candidates.ForEach(
        0, candidates.columns(), [&](float bounded, uint32_t id) { return candidates.Bucket(bounded, id) == bucket; },
        [&](float bounded, uint32_t id) {
          const uint64_t place = candidates.Place(bounded, id);
          if (place >= low && place <= high) f(bounded, place);
        });
  };
  while (found.in.count > kChooseThreads) {
    uint64_t least = ~uint64_t{0}, most = 0;
    for_each_member([&](float, uint64_t place) {
      least = place < least ? place : least;
      most = place > most ? place : most;
    });
    low = LeastInBlock(least, memory.joined);
    high = LargestInBlock(most, memory.joined);
    const int bits = 64 - __clzll(static_cast<long long>(high - low)),
              shift = bits > kBucketBits ? bits - kBucketBits : 0;
    Clear(memory.part);
    __syncthreads();
    for_each_member([&](float bounded, uint64_t place) {
      AddTo(memory.part, static_cast<int>((high - place) >> shift), {candidates.Weight(bounded), 1});
    });
    __syncthreads();
    found = FindBucket(memory.part, found.before, target, by, memory);
    high -= static_cast<uint64_t>(found.bucket) << shift;
    const uint64_t width = (uint64_t{1} << shift) - 1;
    low = high - low > width ? high - width : low;
  }
  if (threadIdx.x == 0) memory.members = 0;
  __syncthreads();
  for_each_member([&](float bounded, uint64_t place) {
    const uint32_t at = atomicAdd(&memory.members, 1u);
    memory.places[at] = place;
    memory.weights[at] = candidates.Weight(bounded);
  });
  __syncthreads();
  if (threadIdx.x < memory.members) {
    const uint64_t mine = memory.places[threadIdx.x];
    Sums before = found.before;
    for (uint32_t i = 0; i < memory.members; ++i) {
      if (memory.places[i] > mine) before = before + Sums{memory.weights[i], 1};
    }
    const uint64_t weight = memory.weights[threadIdx.x];
    if (Measured(before, by) <= target && target < Measured(before + Sums{weight, 1}, by)) {
      memory.candidate = {true, mine, before.mass, weight};
    }
  }
  __syncthreads();
  return memory.candidate;
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_DRAW_H_
