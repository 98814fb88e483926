#include "common/kernels/testing.h"

#include <numeric>

namespace kedge {

StepPlan PlanOfTokens(absl::Span<const uint32_t> tokens) {
  StepPlan plan;
  for (uint32_t token : tokens) plan.rows.push_back({.token = token});
  return plan;
}

StepPlan PlanOfPositions(absl::Span<const uint32_t> positions) {
  StepPlan plan;
  for (uint32_t position : positions) plan.rows.push_back({.position = position});
  return plan;
}

StepPlan PlanOfWanting(uint32_t rows, absl::Span<const uint32_t> wanting) {
  StepPlan plan;
  plan.rows.resize(rows);
  for (uint32_t row : wanting) plan.rows[row].wants_logits = true;
  return plan;
}

// Activations hold what Embed puts there, so a table of F32 weights is the way in.
std::unique_ptr<Activations> Upload(Ops& ops, const std::vector<float>& values, int columns) {
  const int rows = static_cast<int>(values.size()) / columns;
  const absl::Span<const uint8_t> data(reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float));
  const std::unique_ptr<WeightMatrix> table = *ops.LoadMatrix(TensorType::kF32, rows, columns, data);
  std::unique_ptr<Activations> x = ops.NewActivations(rows, columns);
  std::vector<uint32_t> tokens(rows);
  std::iota(tokens.begin(), tokens.end(), 0);
  ops.Embed(*table, *ops.Begin(PlanOfTokens(tokens)), *x);
  return x;
}

std::vector<float> Download(Ops& ops, const Activations& x, int rows, int columns) {
  std::vector<float> values(size_t(rows) * columns);
  ops.CopyToHost(rows, x, absl::MakeSpan(values));
  return values;
}

}  // namespace kedge
