// Tested by products_test.cc.
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/kernels/cuda/float_products.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/stream_products.h"
#include "common/kernels/cuda/tile_products.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

template <WeightForm form, int tiles>
absl::Status LaunchStream(Stream& stream, const DeviceProperties& device, int rows, const OperandRows& x,
                          absl::Span<const Product> products) {
  const Segments segments = MakeSegments(products, kGroup);
  const int parts = rows <= 8 ? 1 : rows <= 16 ? 2 : 4;
  const RingPlan plan =
      PlanRings(device, segments.total, ChunksOf(x.floats.columns), ChunkBytes(form), parts, StreamWarps(tiles));
  const LaunchShape shape = {.grid = {static_cast<unsigned>(plan.blocks)},
                             .block = {static_cast<unsigned>(32 * plan.shape.rings * parts)},
                             .shared_bytes = static_cast<size_t>(plan.shared_bytes),
                             .early = true};
  return Launch(stream, shape, MultiplyStream<form, tiles>, segments, x.quantized, rows, plan.shape);
}

template <WeightForm form>
absl::Status LaunchTiles(Stream& stream, const DeviceProperties& device, int rows, const OperandRows& x,
                         absl::Span<const Product> products) {
  using Weights = QuantizedWeights<form>;
  const Segments segments = MakeSegments(products, kTileOutputs);
  const int chunks = ChunksOf(x.floats.columns);
  // Two blocks to a multiprocessor, unless that leaves no stage to be filled while one is read.
  int stages = HalfOfSharedBytes(device) / TileBytes<Weights>(1);
  if (stages < 2) stages = device.shared_bytes / TileBytes<Weights>(1);
  stages = std::min({stages, kMostTileStages, chunks});
  const LaunchShape shape = {
      .grid = {static_cast<unsigned>((rows + kOperandRows - 1) / kOperandRows), static_cast<unsigned>(segments.total)},
      .block = {kTileThreads},
      .shared_bytes = static_cast<size_t>(TileBytes<Weights>(stages))};
  return Launch(stream, shape, MultiplyTiles<form>, segments, x.quantized, rows, chunks, stages);
}

absl::Status MultiplyQuantized(Stream& stream, const DeviceProperties& device, int rows, const OperandRows& x,
                               absl::Span<const Product> products) {
  return ForQuantizedForm(products[0].matrix->form, [&](auto form) {
    if (rows > kStreamRows) return LaunchTiles<form()>(stream, device, rows, x, products);
    return (rows <= kStreamRows / 2 ? LaunchStream<form(), 1> : LaunchStream<form(), 2>)(stream, device, rows, x,
                                                                                          products);
  });
}

absl::Status Check(const OperandRows& x, absl::Span<const Product> products) {
  for (size_t i = 0; i < products.size(); ++i) {
    const Matrix& matrix = *products[i].matrix;
    const auto refuse = [i](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat("multiply: products[", i, "].", what));
    };
    if (matrix.inputs != x.floats.columns) return refuse("matrix.inputs must be x.floats.columns");
    if (matrix.outputs < 1 || matrix.outputs > products[i].out.stride) {
      return refuse("matrix.outputs must be in [1, out.stride]");
    }
    if (IsQuantized(matrix.form) && x.quantized == nullptr) return refuse("matrix is quantised, x is not");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Multiply(Stream& stream, const DeviceProperties& device, int rows, const OperandRows& x,
                      absl::Span<const Product> products) {
  KEDGE_RETURN_IF_ERROR(Check(x, products));
  if (rows == 0) return absl::OkStatus();
  std::vector<Product> by_form(products.begin(), products.end());
  std::stable_sort(by_form.begin(), by_form.end(),
                   [](const Product& a, const Product& b) { return a.matrix->form < b.matrix->form; });
  for (size_t begin = 0, end = 0; begin < by_form.size(); begin = end) {
    const WeightForm form = by_form[begin].matrix->form;
    while (end < by_form.size() && end < begin + kMostSegments && by_form[end].matrix->form == form) ++end;
    const absl::Span<const Product> some(&by_form[begin], end - begin);
    KEDGE_RETURN_IF_ERROR(IsQuantized(form) ? MultiplyQuantized(stream, device, rows, x, some)
                                            : MultiplyFloats(stream, device, rows, x.floats, some));
  }
  return absl::OkStatus();
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
