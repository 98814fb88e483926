// The steps of an engine that are under way.
#ifndef KEDGE_COMMON_ENGINE_STEP_QUEUE_H_
#define KEDGE_COMMON_ENGINE_STEP_QUEUE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "common/engine/step.h"
#include "common/engine/step_costs.h"
#include "common/engine/step_pacer.h"
#include "common/kernels/step.h"

namespace kedge {

// Runs the part of a step that takes the device's time and touches nothing of the engine. Meanwhile another thread may
// call what its engine allows then.
using RunStep = std::function<void(absl::FunctionRef<void()> step)>;

// Steps in the order of their launch: one at a time, or two where the device runs ahead. Times them, and so says how
// many rows the next one may have, and what work will cost. Owned by one thread.
class StepQueue {
 public:
  // Pointers must outlive this. `run_step` null: as it is.
  StepQueue(StepDevice* device, const Clock* clock, RunStep run_step = nullptr)
      : device_(device),
        clock_(clock),
        run_step_(std::move(run_step)),
        pacer_(device->step_target(), device->max_rows()) {}

  uint32_t budget() const { return pacer_.budget(); }
  const StepCosts& costs() const { return costs_; }
  bool empty() const { return under_way_.empty(); }
  // No further step may be launched before the oldest is finished.
  bool full() const { return under_way_.size() == (device_->runs_ahead() ? 2 : 1); }
  // Launched so far.
  uint64_t count() const { return count_; }

  // The newest. REQUIRES: there is one.
  StepUnderWay& newest() { return under_way_.back(); }

  // Returns the step, which stays here. REQUIRES: not full().
  const StepUnderWay& Launch(absl::Span<const Slice> slices);

  struct Finished {
    StepUnderWay step;
    absl::Status status;  // of its Wait
  };
  // Waits for the oldest step and takes it out. REQUIRES: not empty().
  Finished FinishOldest();

  // There is nothing to launch: the time until the next launch is no work.
  void Rest() { rests_ = true; }

 private:
  void Run(absl::FunctionRef<void()> step) { run_step_ == nullptr ? step() : run_step_(step); }

  StepDevice* const device_;
  const Clock* const clock_;
  const RunStep run_step_;
  StepPacer pacer_;
  StepCosts costs_;
  std::deque<StepUnderWay> under_way_;
  absl::Time last_done_ = absl::InfinitePast();
  bool rests_ = true;
  absl::Time work_began_;  // after the newest rest
  uint64_t count_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STEP_QUEUE_H_
