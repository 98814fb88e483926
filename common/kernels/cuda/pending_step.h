// A step under way on a device.
#ifndef KEDGE_COMMON_KERNELS_CUDA_PENDING_STEP_H_
#define KEDGE_COMMON_KERNELS_CUDA_PENDING_STEP_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "common/kernels/cuda/block_pool.h"
#include "common/kernels/cuda/step_arrays.h"
#include "common/kernels/ops.h"

namespace kedge::cuda {

// What all who wait are told of a device that failed: another node may do it. kUnavailable, or kResourceExhausted.
absl::Status DeviceLost(const absl::Status& status);

// The first failure of a device, shared with all that is pending: who waits may be the first to meet it. Of the thread
// that owns the backend.
using DeviceHealth = std::shared_ptr<absl::Status>;

class CudaPendingStep final : public PendingStep {
 public:
  // The step lies between two events. `results`, [arrays' result_bytes] and then [chosen_bytes], and `host_logits`,
  // [NumHostLogits()][columns] or null, are pinned and written when `done` is.
  CudaPendingStep(std::unique_ptr<const StepArrays> arrays, std::shared_ptr<Event> begin, std::shared_ptr<Event> done,
                  std::shared_ptr<const Block> results, std::shared_ptr<const Block> host_logits, int columns,
                  DeviceHealth health);

  bool Ready() override;
  absl::Status Wait() override;
  const StepOutcome& outcome() const override { return outcome_; }

 private:
  void TakeOutputs();

  const std::unique_ptr<const StepArrays> arrays_;
  const std::shared_ptr<Event> begin_, done_;
  const std::shared_ptr<const Block> results_, host_logits_;
  const int columns_;
  const DeviceHealth health_;
  StepOutcome outcome_;
};

// One that could not be queued.
class FailedStep final : public PendingStep {
 public:
  explicit FailedStep(absl::Status status) : status_(std::move(status)) {}
  bool Ready() override { return true; }
  absl::Status Wait() override { return status_; }
  const StepOutcome& outcome() const override { return outcome_; }

 private:
  const absl::Status status_;
  const StepOutcome outcome_;
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_PENDING_STEP_H_
