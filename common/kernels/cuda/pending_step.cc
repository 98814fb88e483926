// Tested by tests/cuda_steps_test.cc.
#include "common/kernels/cuda/pending_step.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace kedge::cuda {

absl::Status DeviceLost(const absl::Status& status) {
  const absl::StatusCode code = absl::IsResourceExhausted(status) ? status.code() : absl::StatusCode::kUnavailable;
  return absl::Status(code, absl::StrCat("the CUDA device failed: ", status.message()));
}

CudaPendingStep::CudaPendingStep(std::unique_ptr<const StepArrays> arrays, std::shared_ptr<Event> begin,
                                 std::shared_ptr<Event> done,
                                 std::shared_ptr<const Block> results, std::shared_ptr<const Block> host_logits,
                                 int columns, DeviceHealth health)
    : arrays_(std::move(arrays)),
      begin_(std::move(begin)),
      done_(std::move(done)),
      results_(std::move(results)),
      host_logits_(std::move(host_logits)),
      columns_(columns),
      health_(std::move(health)) {}

bool CudaPendingStep::Ready() {
  const absl::StatusOr<bool> done = done_->IsDone();
  return !done.ok() || *done;  // Wait says what is wrong
}

absl::Status CudaPendingStep::Wait() {
  if (const absl::Status status = done_->Wait(); !status.ok()) {
    *health_ = status;
    return DeviceLost(status);
  }
  TakeOutputs();
  if (const absl::StatusOr<absl::Duration> time = done_->Since(*begin_); time.ok()) outcome_.device_time = *time;
  return absl::OkStatus();
}

void CudaPendingStep::TakeOutputs() {
  outcome_ = {};
  const auto* const chosen = reinterpret_cast<const ChosenToken*>(results_->data() + arrays_->result_bytes());
  for (int i = 0; i < arrays_->plan_outputs(); ++i) {
    StepOutcome::Output& output = outcome_.outputs.emplace_back();
    output.is_finite = chosen[i].is_finite != 0;
    if (chosen[i].is_decided != 0) {
      output.token = chosen[i].token;
    } else {
      const float* logits = reinterpret_cast<const float*>(host_logits_->data());
      output.logits = {logits + size_t(arrays_->HostLogitsOf(i)) * columns_, static_cast<size_t>(columns_)};
    }
  }
  const uint32_t* const faults = arrays_->FaultsIn(results_->data());
  for (int r = 0; r < arrays_->plan_rows(); ++r) {
    if (faults[r] == kNoFault) continue;
    outcome_.faults.push_back({.row = static_cast<uint32_t>(r),
                               .layer = static_cast<int>(faults[r] / 2),
                               .overflowed = faults[r] % 2 != 0});
  }
  const uint32_t* const mass = arrays_->MassIn(results_->data());
  for (const StepArrays::MassPlace& place : arrays_->mass_places()) {
    outcome_.mass.push_back({mass + place.first, place.count});
  }
}

}  // namespace kedge::cuda
