// A step's plan as the backends on the host take it.
#ifndef KEDGE_COMMON_KERNELS_HOST_STEP_H_
#define KEDGE_COMMON_KERNELS_HOST_STEP_H_

#include <cstdint>
#include <vector>

#include "common/kernels/ops.h"
#include "common/kernels/step.h"

namespace kedge {

struct HostStep final : StepView {
  explicit HostStep(const StepPlan& plan) : plan(plan) {
    for (uint32_t r = 0; r < plan.rows.size(); ++r) {
      positions.push_back(plan.rows[r].position);
      if (plan.rows[r].has_output()) wanting.push_back(r);
    }
  }

  int rows() const { return static_cast<int>(plan.rows.size()); }

  const StepPlan& plan;
  std::vector<uint32_t> positions;  // [rows]
  std::vector<uint32_t> wanting;    // rows with an output
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_HOST_STEP_H_
