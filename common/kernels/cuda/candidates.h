// A row of logits as a draw goes through it (common/kernels/choose_token.cc): its candidates in one order, their
// weights in whole parts.
#ifndef KEDGE_COMMON_KERNELS_CUDA_CANDIDATES_H_
#define KEDGE_COMMON_KERNELS_CUDA_CANDIDATES_H_

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/choose_scratch.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/exp.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// What is no number, and plus infinity, count as the largest float.
__device__ inline float Bounded(float logit) { return logit < FLT_MAX ? logit : FLT_MAX; }

// Floats in their order, as numbers without a sign; both zeros are one. No NaN.
__device__ inline uint32_t Ordered(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}
__device__ inline float FromOrdered(uint32_t ordered) {
  return __uint_as_float(ordered >> 31 != 0 ? ordered ^ 0x80000000u : ~ordered);
}
// The least float that is not below x.
__device__ inline float AtLeast(double x) {
  const float nearest = static_cast<float>(x);
  return nearest < x ? FromOrdered(Ordered(nearest) + 1) : nearest;
}

// Where a candidate stands in the order of (value, id): of two, the one with the larger place comes first.
__device__ inline uint64_t PlaceOf(float bounded, uint32_t id) { return uint64_t{Ordered(bounded)} << 32 | ~id; }
__device__ inline uint32_t IdOf(uint64_t place) { return ~static_cast<uint32_t>(place); }

// Asks test(logit, id) of logits [begin, end), and calls f(logit, id) where it says so; all threads of a block share
// them. begin is a multiple of 4. The test is unrolled and f is not: what is long belongs there.
template <typename Test, typename F>
__device__ void ForEachLogit(const float* logits, int begin, int end, Test test, F f) {
  constexpr int kAtOnce = 4;  // reads under way
  const int step = 4 * blockDim.x;
  for (int from = begin + 4 * threadIdx.x; from < end; from += kAtOnce * step) {
    float4 v[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int id = from + k * step;
      v[k] = id < end ? *reinterpret_cast<const float4*>(logits + id) : float4{};
    }
    uint32_t wanted = 0;  // bit 4 k + j: number j of v[k]
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const float four[4] = {v[k].x, v[k].y, v[k].z, v[k].w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int id = from + k * step + j;
        if (id < end && test(four[j], static_cast<uint32_t>(id))) wanted |= 1u << (4 * k + j);
      }
    }
    for (; wanted != 0; wanted &= wanted - 1) {
      const int bit = __ffs(wanted) - 1, id = from + bit / 4 * step + bit % 4;
      f(logits[id], static_cast<uint32_t>(id));
    }
  }
}

enum class Order { kById, kByValue };  // the largest first, then by id

class Candidates {
 public:
  // best: the largest of the row, bounded. By id, what min-p takes away is no candidate.
  __device__ Candidates(const float* logits, int columns, const OutputWish& wish, float best, Order order)
      : logits_(logits),
        columns_(columns),
        order_(order),
        best_(best),
        least_(static_cast<float>(double{best} - kNever * wish.temperature)),
        least_left_(-INFINITY),
        per_logit_(1 / double{wish.temperature}),
        one_(WeightOfBest(columns)) {
    if (wish.has_min_p) {
      const double left = best_ + wish.temperature * wish.log_min_p;
      least_left_ = AtLeast(best_ < left ? best_ : left);
    }
    if (order == Order::kById && least_left_ > least_) least_ = least_left_;
    const double buckets_per_logit = kBuckets / kNever * per_logit_;
    buckets_per_logit_ = buckets_per_logit < FLT_MAX ? static_cast<float>(buckets_per_logit) : FLT_MAX;
    for (id_bits_ = 0; (columns - 1) >> id_bits_ >= kBuckets;) ++id_bits_;
  }

  // Calls f(bounded, id) for the candidates of [begin, end) of which test(bounded, id) says so, as ForEachLogit.
  template <typename Test, typename F>
  __device__ void ForEach(int begin, int end, Test test, F f) const {
    const float least = least_;
    ForEachLogit(
        logits_, begin, end,
        [&](float logit, uint32_t id) { return Bounded(logit) >= least && test(Bounded(logit), id); },
        [&](float logit, uint32_t id) { f(Bounded(logit), id); });
  }

  // exp((logit - best) / temperature), in whole parts.
  __device__ uint64_t Weight(float bounded) const {
    return static_cast<uint64_t>(ExpDouble((double{bounded} - double{best_}) * per_logit_) * one_ + 0.5);
  }
  // Never falls along the order.
  __device__ int Bucket(float bounded, uint32_t id) const {
    if (order_ == Order::kById) return id >> id_bits_;
    const float bucket = (best_ - bounded) * buckets_per_logit_;
    return bucket < kBuckets - 1 ? static_cast<int>(bucket) : kBuckets - 1;
  }
  // Falls along the order.
  __device__ uint64_t Place(float bounded, uint32_t id) const {
    return order_ == Order::kById ? static_cast<uint32_t>(~id) : PlaceOf(bounded, id);
  }

  __device__ float Value(uint64_t place) const { return Bounded(logits_[IdOf(place)]); }
  __device__ float least_left() const { return least_left_; }  // by min-p
  __device__ int columns() const { return columns_; }

 private:
  // A power of two with which no sum runs over.
  static __device__ double WeightOfBest(int columns) {
    const int bits = 32 - __clz(columns);
    return static_cast<double>(uint64_t{1} << (62 - bits));
  }

  static constexpr double kNever = 28;  // as on the host: what is so many nats below the best is left out

  const float* logits_;
  int columns_;
  Order order_;
  float best_, least_, least_left_, buckets_per_logit_;
  int id_bits_;  // of a bucket
  double per_logit_, one_;
};

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_CANDIDATES_H_
