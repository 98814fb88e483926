// A step as the backends on the host take it, and what comes of it.
#ifndef KEDGE_COMMON_KERNELS_HOST_STEP_H_
#define KEDGE_COMMON_KERNELS_HOST_STEP_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "common/kernels/ops.h"
#include "common/kernels/step.h"

namespace kedge {

// Attention of one row and head that is to be told.
struct MassQuery {
  uint32_t row = 0;  // of the plan
  uint32_t head = 0;
  absl::Span<uint32_t> mass;  // [MassEnds of the row]
};

// The memory behind an outcome.
struct HostResults {
  StepOutcome outcome;
  std::vector<std::vector<float>> logits;   // [outputs][vocab], of those without a token
  std::vector<std::vector<uint32_t>> mass;  // as StepOutcome::mass
};

struct HostStep final : StepView {
  // Makes room in `results`, which may be those of the step before: its tokens have been taken out of them.
  HostStep(const StepPlan& plan, std::vector<uint32_t> tokens, std::shared_ptr<HostResults> results);

  int rows() const { return static_cast<int>(plan.rows.size()); }

  const StepPlan& plan;
  const std::vector<uint32_t> tokens;        // [rows]
  std::vector<uint32_t> positions;           // [rows]
  std::vector<uint32_t> wanting;             // rows with an output
  std::vector<std::vector<MassQuery>> mass;  // [layers, up to the last that has any]
  const std::shared_ptr<HostResults> results;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_HOST_STEP_H_
