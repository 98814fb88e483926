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

// A pair as a page has it.
template <typename T>
struct KvPair {
  PairOf<T> pair;
  __half scale;  // where the type has some
  bool is_finite;
};

// Where the type has scales, 16 neighbouring threads of a warp, from a multiple of 16 on, hold a block, or its first
// pairs and zeros, and all of them call: the arithmetic of RoundBlock (common/kernels/rounded_blocks.h).
template <typename T>
__device__ KvPair<T> RoundPair(float2 x, float steps) {
  if constexpr (!kHasScales<T>) {
    const PairOf<T> pair = Rounded<T>(x);
    return {pair, {}, IsFinite(FloatsOf(pair))};
  } else {
    constexpr unsigned kMagnitude = 0x7fffffff, kInfinity = 0x7f800000;
    constexpr uint16_t kHalfInfinity = 0x7c00, kHalfNan = 0x7e00;
    const unsigned block = 0xffffu << threadIdx.x % 32 / 16 * 16;
    unsigned largest = max(__float_as_uint(x.x) & kMagnitude, __float_as_uint(x.y) & kMagnitude);
#pragma unroll
    for (int m = 8; m > 0; m /= 2) largest = max(largest, __shfl_xor_sync(block, largest, m));
    const float wanted = __uint_as_float(largest) / steps;
    uint16_t scale = __half_as_ushort(__float2half_rn(wanted));
    if (__half2float(__ushort_as_half(scale)) < wanted) ++scale;
    if (largest > kInfinity) scale = kHalfNan;
    const bool is_finite = scale < kHalfInfinity;
    if (scale == 0 || !is_finite) return {{}, __ushort_as_half(scale), is_finite};
    const float inverse = 1.0f / __half2float(__ushort_as_half(scale));
    const auto quant = [&](float value) { return static_cast<int8_t>(__float_as_uint(value * inverse + 12582912.0f)); };
    return {{quant(x.x), quant(x.y)}, __ushort_as_half(scale), true};
  }
}

struct Steps {  // RoundingSteps of the pages' type, where it has some
  float key;
  float value;
};

// A grid of (rows, 1 + parts of the queries): the first block of a row has all its keys and values, because whether
// they are numbers is told of all of them.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    TurnAndWriteRow(Step step, int layer, int heads, int pairs, FloatRows queries, FloatRows keys,
                    const float* key_shift, FloatRows values, Pages pages, Steps steps) {
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
  const int head_pairs = pages.head_dim / 2, scales = ScalesOfRow<T>(pages.head_dim);
  constexpr int kBlockPairs = kScaleBlock / 2;
  const int lanes = kHasScales<T> ? scales * kBlockPairs : head_pairs;  // of a head: whole blocks
  for (int i = threadIdx.x; i < pages.kv_heads * lanes; i += kThreads) {
    const int head = i / lanes, pair = i % lanes;
    const bool is_there = pair < head_pairs;
    float2 key = {}, value = {};
    if (is_there) {
      float2* at = pair_of(keys, head, pair);
      key = *at;
      if (pair < pairs) key = Turn(key, turns[pair]);
      if (key_shift != nullptr) {
        const float* shift = key_shift + head * pages.head_dim + 2 * pair;
        key = {key.x + shift[0], key.y + shift[1]};
      }
      *at = key;
      value = *pair_of(values, head, pair);
    }
    const KvPair<T> rounded_key = RoundPair<T>(key, steps.key), rounded_value = RoundPair<T>(value, steps.value);
    was_finite &= IsFinite(key) && IsFinite(value);
    is_finite &= rounded_key.is_finite && rounded_value.is_finite;
    const auto store = [&](PageId page, uint32_t index) {
      const auto store_part = [&](T* numbers, const KvPair<T>& rounded) {
        if (is_there) *reinterpret_cast<PairOf<T>*>(numbers + index * pages.stride() + 2 * pair) = rounded.pair;
        if (kHasScales<T> && pair % kBlockPairs == 0) {
          ScalesBehind(numbers, pages.stride())[index * scales + pair / kBlockPairs] = rounded.scale;
        }
      };
      store_part(KeysOf<T>(pages, page, layer, head), rounded_key);
      store_part(ValuesOf<T>(pages, page, layer, head), rounded_value);
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
                          const FloatRows& keys, const float* key_shift, const FloatRows& values, const Pages& pages) {
  if (step.num_rows == 0) return absl::OkStatus();
  const LaunchShape shape = {.grid = {static_cast<unsigned>(step.num_rows),
                                      1 + static_cast<unsigned>((heads * pairs + kThreads - 1) / kThreads)},
                             .block = {kThreads},
                             .early = true};
  const Steps steps = HasScales(pages.type) ? Steps{RoundingSteps(pages.type, KvPart::kKey),
                                                    RoundingSteps(pages.type, KvPart::kValue)}
                                            : Steps{};
  return ForElement(pages.type, [&]<typename T>() {
    return Launch(stream, shape, TurnAndWriteRow<T>, step, layer, heads, pairs, queries, keys, key_shift, values,
                  pages, steps);
  });
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
