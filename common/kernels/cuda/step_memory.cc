// Tested by tests/cuda_steps_test.cc.
#include "common/kernels/cuda/step_memory.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/base/status.h"

namespace kedge::cuda {
namespace {

// Pages of few rows are divided among blocks of threads; many rows are work enough without.
constexpr size_t kMostScoresBytes = size_t{256} << 20;

}  // namespace

absl::Status StepMemory::Fit(size_t bytes, bool keep, std::unique_ptr<Memory>& memory, bool& moved) {
  constexpr size_t kLeast = 64 << 10;
  if (memory != nullptr && memory->bytes() >= bytes) return absl::OkStatus();
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<Memory> larger, runtime_->NewMemory(std::bit_ceil(std::max(bytes, kLeast))));
  if (keep && memory != nullptr) {
    KEDGE_RETURN_IF_ERROR(stream_->Copy(larger->data(), memory->data(), memory->bytes()));
  }
  memory = std::move(larger);
  moved = true;
  return absl::OkStatus();
}

absl::StatusOr<bool> StepMemory::Fit(const StepArrays& arrays, const PassShape& shape) {
  bool moved = false;
  KEDGE_RETURN_IF_ERROR(Fit(arrays.upload_bytes(), false, upload_, moved));
  KEDGE_RETURN_IF_ERROR(Fit(arrays.chosen_bytes(), true, chosen_, moved));
  KEDGE_RETURN_IF_ERROR(Fit(arrays.result_bytes(), false, results_, moved));
  KEDGE_RETURN_IF_ERROR(Fit(sizeof(float) * 2 * arrays.num_rows() * shape.pairs, false, turns_, moved));
  const int outputs = std::min(arrays.num_outputs(), shape.logit_rows);
  KEDGE_RETURN_IF_ERROR(Fit(ChooseScratchBytes(runtime_->properties(), outputs, shape.logit_columns), false,
                            choose_scratch_, moved));
  const size_t scores = SplitScoresBytes(arrays.seen_pages(), shape.heads);
  splits_ = arrays.num_tiles() == arrays.num_rows() && scores <= kMostScoresBytes;
  if (splits_) KEDGE_RETURN_IF_ERROR(Fit(scores, false, scores_, moved));
  return !moved;
}

}  // namespace kedge::cuda
