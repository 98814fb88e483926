// Rotary embeddings and what they are for: queries and keys turned, keys and values into their pages.
// Tested by rotation_test.cc.
#include "absl/status/status.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/pages.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr int kThreads = 256;

// {cos, sin} by SinCosDouble of common/kernels/elementary.cc, operation by operation.
__device__ double2 CosSin(double angle) {
  constexpr double kTwoOverPi = 0.6366197723675814;
  constexpr double kHalfPi = 1.5707963267948966;
  constexpr double kHalfPiLow = 6.123233995736766e-17;  // pi / 2 - kHalfPi
  const double n = floor(__fma_rn(angle, kTwoOverPi, 0.5));
  const double r = __fma_rn(-n, kHalfPiLow, __fma_rn(-n, kHalfPi, angle));
  const double minus_r2 = -r * r;
  double sin = 1, cos = 1;
#pragma unroll
  for (int k = 18; k >= 2; k -= 2) {
    sin = __fma_rn(sin, minus_r2 / (k * (k + 1)), 1.0);
    cos = __fma_rn(cos, minus_r2 / (k * (k - 1)), 1.0);
  }
  sin *= r;
  switch (static_cast<long long>(n) & 3) {
    case 0:
      return {cos, sin};
    case 1:
      return {-sin, cos};
    case 2:
      return {-cos, -sin};
    default:
      return {sin, -cos};
  }
}

// A thread a pair of a row.
__global__ void __launch_bounds__(kThreads) MakeRowTurns(Step step, Turning turning) {
  const size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= size_t(step.num_rows) * turning.pairs) return;
  const double angle = static_cast<double>(step.rows[i / turning.pairs].position) *
                       static_cast<double>(turning.inverse_frequencies[i % turning.pairs]);
  const double2 turn = CosSin(angle);
  const double magnitude = turning.magnitude;
  reinterpret_cast<float2*>(step.turns)[i] = {static_cast<float>(turn.x * magnitude),
                                              static_cast<float>(turn.y * magnitude)};
}

// turn: cos, sin. The products that are added are rounded, as in scalar::Rope.
__device__ float2 Turn(float2 x, float2 turn) {
  return {__fmaf_rn(x.x, turn.x, x.y * -turn.y), __fmaf_rn(x.y, turn.x, x.x * turn.y)};
}

__device__ bool IsFinite(float2 pair) {
  constexpr unsigned kExponent = 0x7f800000;
  return (__float_as_uint(pair.x) & kExponent) != kExponent && (__float_as_uint(pair.y) & kExponent) != kExponent;
}

// A grid of (rows, 1 + parts of the queries): the first block of a row has all its keys and values, because whether
// they are numbers is told of all of them.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    TurnAndWriteRow(Step step, int layer, int heads, int pairs, FloatRows queries, FloatRows keys, FloatRows values,
                    Pages pages) {
  StartNext();
  WaitForPrevious();
  const float2* turns = reinterpret_cast<const float2*>(step.turns) + size_t{blockIdx.x} * pairs;
  const auto pair_of = [&](const FloatRows& rows, int head, int pair) {
    float* row = rows.data + size_t{blockIdx.x} * rows.stride;
    return reinterpret_cast<float2*>(row + head * pages.head_dim + 2 * pair);
  };
  if (blockIdx.y > 0) {
    const int i = (blockIdx.y - 1) * kThreads + threadIdx.x;
    if (i >= heads * pairs) return;
    float2* at = pair_of(queries, i / pairs, i % pairs);
    *at = Turn(*at, turns[i % pairs]);
    return;
  }
  const StepRow row = step.rows[blockIdx.x];
  const PageId recent = step.pages[row.recent_pages + row.position / kPageRows];
  const PageId kept = row.kept_index >= 0 ? step.pages[row.kept_pages + row.kept_index / kPageRows] : kNoPage;
  bool was_finite = true, is_finite = true;
  const int head_pairs = pages.head_dim / 2;
  for (int i = threadIdx.x; i < pages.kv_heads * head_pairs; i += kThreads) {
    const int head = i / head_pairs, pair = i % head_pairs;
    float2* at = pair_of(keys, head, pair);
    float2 key = *at;
    if (pair < pairs) *at = key = Turn(key, turns[pair]);
    const float2 value = *pair_of(values, head, pair);
    const PairOf<T> rounded_key = Rounded<T>(key), rounded_value = Rounded<T>(value);
    was_finite &= IsFinite(key) && IsFinite(value);
    is_finite &= IsFinite(FloatsOf(rounded_key)) && IsFinite(FloatsOf(rounded_value));
    const auto store = [&](PageId page, uint32_t index) {
      const uint32_t element = index * pages.stride() + 2 * pair;
      *reinterpret_cast<PairOf<T>*>(KeysOf<T>(pages, page, layer, head) + element) = rounded_key;
      *reinterpret_cast<PairOf<T>*>(ValuesOf<T>(pages, page, layer, head) + element) = rounded_value;
    };
    store(recent, row.position % kPageRows);
    if (row.kept_index >= 0) store(kept, row.kept_index % kPageRows);
  }
  const bool overflowed = __syncthreads_and(was_finite);
  const bool is_fault = __syncthreads_or(!is_finite);
  if (is_fault && threadIdx.x == 0) atomicMin(&step.faults[blockIdx.x], 2u * layer + (overflowed ? 1u : 0u));
}

}  // namespace

absl::Status MakeTurns(Stream& stream, const Step& step, const Turning& turning) {
  if (step.num_rows == 0 || turning.pairs == 0) return absl::OkStatus();
  const size_t threads = size_t(step.num_rows) * turning.pairs;
  return Launch(stream, {.grid = {static_cast<unsigned>((threads + kThreads - 1) / kThreads)}, .block = {kThreads}},
                MakeRowTurns, step, turning);
}

absl::Status TurnAndWrite(Stream& stream, const Step& step, int layer, int heads, int pairs, const FloatRows& queries,
                          const FloatRows& keys, const FloatRows& values, const Pages& pages) {
  if (step.num_rows == 0) return absl::OkStatus();
  const LaunchShape shape = {.grid = {static_cast<unsigned>(step.num_rows),
                                      1 + static_cast<unsigned>((heads * pairs + kThreads - 1) / kThreads)},
                             .block = {kThreads},
                             .early = true};
  return ForElement(pages.type, [&]<typename T>() {
    return Launch(stream, shape, TurnAndWriteRow<T>, step, layer, heads, pairs, queries, keys, values, pages);
  });
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
