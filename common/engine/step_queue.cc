// A step that was launched while another one was under way takes from that one's end to its own. What it costs is more:
// requests and rows that come and go between steps delay all that wait, so while there is work to do that time is the
// next step's. Tested by step_queue_test.cc, and by the tests of both engines.
#include "common/engine/step_queue.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace kedge {

const StepUnderWay& StepQueue::Launch(absl::Span<const Slice> slices) {
  KEDGE_CHECK(!full());
  ++count_;
  const absl::Time now = clock_->Now();
  if (std::exchange(rests_, false) && empty()) work_began_ = now;
  StepPlan plan;
  StepUnderWay step = PlanStep(slices, now, &plan);
  Run([&] { step.future = device_->Launch(std::move(plan)); });  // where a CPU computes it
  return under_way_.emplace_back(std::move(step));
}

StepQueue::Finished StepQueue::FinishOldest() {
  KEDGE_CHECK(!empty());
  Finished finished{.step = std::move(under_way_.front())};
  under_way_.pop_front();
  Run([&] { finished.status = finished.step.future->Wait(); });
  const absl::Time now = clock_->Now();
  const absl::Duration took = now - std::max(finished.step.launched, last_done_);
  if (finished.status.ok()) {
    pacer_.Record(finished.step.rows, took);
    costs_.Record(finished.step.rows, finished.step.seen, now - std::max(work_began_, last_done_));
  }
  last_done_ = now;
  return finished;
}

}  // namespace kedge
