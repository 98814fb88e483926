// A device that does nothing until somebody waits: proof that nothing above step.h assumes synchronous memory.
#ifndef KEDGE_COMMON_KERNELS_DEFERRED_DEVICE_H_
#define KEDGE_COMMON_KERNELS_DEFERRED_DEVICE_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/kernels/step.h"

namespace kedge {

// Wraps another device. Steps and copies are queued and run, in order, when a future at or behind them is waited for.
// Owned by one thread.
class DeferredDevice : public StepDevice {
 public:
  explicit DeferredDevice(std::unique_ptr<StepDevice> device);
  ~DeferredDevice() override;

  const std::string& numerics_class() const override { return device_->numerics_class(); }
  const RowShape& row_shape() const override { return device_->row_shape(); }
  bool roles_agree() const override { return device_->roles_agree(); }
  uint32_t num_pages() const override { return device_->num_pages(); }
  uint32_t max_rows() const override { return device_->max_rows(); }
  absl::Duration step_target() const override { return device_->step_target(); }
  uint32_t vocab_size() const override { return device_->vocab_size(); }
  bool runs_ahead() const override { return true; }

  std::unique_ptr<StepFuture> Launch(StepPlan plan) override;
  RowBuffer NewRowBuffer(size_t size) const override { return device_->NewRowBuffer(size); }
  std::unique_ptr<StepFuture> ReadRows(std::vector<RowRef> rows, RowBuffer out) override;
  void WriteRows(std::vector<RowRef> rows, Payload in) override;
  void CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) override;

 private:
  // What a queued piece of work left behind. Shared by the queue and the future.
  struct Outcome {
    bool done = false;
    absl::Status status;
    std::unique_ptr<StepFuture> inner;  // null: nobody can wait for it
  };
  class Future;

  std::unique_ptr<StepFuture> Enqueue(std::function<std::unique_ptr<StepFuture>()> work);
  // Work that nobody can wait for.
  void EnqueueCopy(std::function<void()> copy);
  // Runs queued work up to and including `outcome`'s.
  void RunUntil(const Outcome* outcome);

  std::unique_ptr<StepDevice> device_;
  std::deque<std::pair<std::function<std::unique_ptr<StepFuture>()>, std::shared_ptr<Outcome>>> queue_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_DEFERRED_DEVICE_H_
