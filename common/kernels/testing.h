// Into a backend's memory and out of it, for tests of single operations.
#ifndef KEDGE_COMMON_KERNELS_TESTING_H_
#define KEDGE_COMMON_KERNELS_TESTING_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "common/kernels/ops.h"

namespace kedge {

// Plans for operations that look at nothing else of a row.
StepPlan PlanOfTokens(absl::Span<const uint32_t> tokens);
StepPlan PlanOfPositions(absl::Span<const uint32_t> positions);
// `rows` rows, of which these want logits.
StepPlan PlanOfWanting(uint32_t rows, absl::Span<const uint32_t> wanting);

// Activations [rows, columns], and back.
std::unique_ptr<Activations> Upload(Ops& ops, const std::vector<float>& values, int columns);
std::vector<float> Download(Ops& ops, const Activations& x, int rows, int columns);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_TESTING_H_
