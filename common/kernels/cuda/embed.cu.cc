// Tested by embed_test.cc.
#include <cstdint>

#include "common/kernels/cuda/float_weights.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/quantized_weights.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr int kThreads = 256;

// A row of the grid's y is one of the step; x covers the table's inputs.
template <WeightForm form>
__global__ void __launch_bounds__(kThreads)
    EmbedRows(const uint8_t* table, int outputs, int inputs, const StepRow* rows, const ChosenToken* chosen, float* out,
              int stride) {
  const int input = blockIdx.x * kThreads + threadIdx.x;
  if (input >= inputs) return;
  const StepRow& row = rows[blockIdx.y];
  const uint32_t token = row.chosen_before >= 0 ? chosen[row.chosen_before].token : row.token;
  // A token that the device could not decide may be any; what comes of its row is thrown away.
  const uint32_t output = min(token, static_cast<uint32_t>(outputs - 1));
  const uint8_t* group = table + output / GroupOutputs(form) * GroupBytes(form, inputs);
  float value;
  if constexpr (IsQuantized(form)) {
    value = QuantizedWeights<form>::Value(group + size_t(input / kChunkInputs) * ChunkBytes(form), output % kGroup,
                                          input % kChunkInputs);
  } else {
    value = FloatWeights<form>::Value(group, output % kFloatOutputs, input);
  }
  out[size_t(blockIdx.y) * stride + input] = value;
}

}  // namespace

absl::Status Embed(Stream& stream, const Matrix& table, const Step& step, const FloatRows& out) {
  if (out.columns != table.inputs) return absl::InvalidArgumentError("embed: out.columns must be table.inputs");
  if (step.num_rows == 0) return absl::OkStatus();
  const LaunchShape shape = {.grid = {static_cast<unsigned>((table.inputs + kThreads - 1) / kThreads),
                                      static_cast<unsigned>(step.num_rows)},
                             .block = {kThreads}};
  const auto launch = [&](auto constant) {
    return Launch(stream, shape, EmbedRows<constant()>, table.data, table.outputs, table.inputs, step.rows, step.chosen,
                  out.data, out.stride);
  };
  return IsQuantized(table.form) ? ForQuantizedForm(table.form, launch) : ForFloatForm(table.form, launch);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
