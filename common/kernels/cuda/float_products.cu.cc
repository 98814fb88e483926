// One chain of fused multiply-adds over all inputs an output, which no tensor core computes. A lane has an output, a
// warp 32 of them by some rows; the weights stream through rings in shared memory, and all lanes read the same of x.
// Tested by products_test.cc.
#include "common/kernels/cuda/float_products.h"

#include <algorithm>

#include "common/kernels/cuda/float_weights.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/weight_ring.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr int kFloatWarps = 16;  // of a block, at most
constexpr int kWarpRows = 8;     // where there are so many

// x: FloatRows, `inputs` columns. A grid of (any, rows / (kRows * parts)): each block has that many of the rows.
template <WeightForm form, int kRows>
__global__ void __launch_bounds__(32 * kFloatWarps, 1)
    MultiplyFloatStream(Segments segments, const float* x, int stride, int inputs, int rows, RingShape shape) {
  using Weights = FloatWeights<form>;
  constexpr int kInputs = Weights::kInputs;
  const int lane = threadIdx.x % 32;
  WeightRing<Weights::kBytes> ring(segments, shape);
  const int first_row = (blockIdx.y * shape.parts + ring.part()) * kRows;
  const float* from[kRows];  // where there are fewer rows, the last one stands for the others
#pragma unroll
  for (int r = 0; r < kRows; ++r) from[r] = x + size_t(min(first_row + r, rows - 1)) * stride;
  for (; ring.HasGroup(); ring.NextGroup()) {
    float sums[kRows] = {};
    for (int chunk = 0; chunk < shape.chunks; chunk += shape.stage_chunks) {
      const uint8_t* unit = ring.Take() + lane * kUnitBytes;
      const int begin = chunk * kFloatInputs, end = min(inputs, begin + shape.stage_chunks * kFloatInputs);
      int k = begin;
#pragma unroll 2
      for (; k + kInputs <= end; k += kInputs, unit += kFloatOutputs * kUnitBytes) {
        float weights[kInputs];
        Weights::Load(unit, weights);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
          for (int i = 0; i < kInputs; i += 4) {
            const float4 four = *reinterpret_cast<const float4*>(from[r] + k + i);
            sums[r] = __fmaf_rn(weights[i], four.x, sums[r]);
            sums[r] = __fmaf_rn(weights[i + 1], four.y, sums[r]);
            sums[r] = __fmaf_rn(weights[i + 2], four.z, sums[r]);
            sums[r] = __fmaf_rn(weights[i + 3], four.w, sums[r]);
          }
        }
      }
      if (k < end) {  // inputs are no multiple of a unit
        float weights[kInputs];
        Weights::Load(unit, weights);
#pragma unroll
        for (int i = 0; i < kInputs; ++i) {
          if (k + i >= end) break;
#pragma unroll
          for (int r = 0; r < kRows; ++r) sums[r] = __fmaf_rn(weights[i], from[r][k + i], sums[r]);
        }
      }
      ring.Release();
    }
    const Segment segment = segments.Find(ring.group());
    const int output = (ring.group() - segment.first) * kFloatOutputs + lane;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (first_row + r < rows) segment.Write(first_row + r, output, sums[r]);
    }
  }
}

template <WeightForm form>
absl::Status LaunchFloats(Stream& stream, const DeviceProperties& device, int rows, const FloatRows& x,
                          absl::Span<const Product> products) {
  const Segments segments = MakeSegments(products, kFloatOutputs);
  const int warps = (rows + kWarpRows - 1) / kWarpRows, parts = warps <= 1 ? 1 : warps <= 2 ? 2 : warps <= 4 ? 4 : 8;
  const RingPlan plan =
      PlanRings(device, segments.total, Chunks(form, x.columns), ChunkBytes(form), parts, kFloatWarps);
  const LaunchShape shape = {
      .grid = {static_cast<unsigned>(plan.blocks), static_cast<unsigned>((warps + parts - 1) / parts)},
      .block = {static_cast<unsigned>(32 * plan.shape.rings * parts)},
      .shared_bytes = static_cast<size_t>(plan.shared_bytes),
      .early = true};
  return Launch(stream, shape, rows == 1 ? MultiplyFloatStream<form, 1> : MultiplyFloatStream<form, kWarpRows>,
                segments, x.data, x.stride, x.columns, rows, plan.shape);
}

}  // namespace

absl::Status MultiplyFloats(Stream& stream, const DeviceProperties& device, int rows, const FloatRows& x,
                            absl::Span<const Product> products) {
  return ForFloatForm(products[0].matrix->form, [&](auto constant) {
    return LaunchFloats<constant()>(stream, device, rows, x, products);
  });
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
