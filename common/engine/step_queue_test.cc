#include "common/engine/step_queue.h"

#include <memory>
#include <utility>
#include <vector>

#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "common/kv/page_pool.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

class StepQueueTest : public testing::TestWithParam<bool> {
 protected:
  StepQueueTest() : device_(NewDevice()), queue_(device_.get(), &clock_), pool_(device_->num_pages()) {}

  static std::unique_ptr<StepDevice> NewDevice() {
    auto hash = std::make_unique<HashDevice>(HashDeviceOptions{.num_pages = 64});
    if (!GetParam()) return hash;
    return std::make_unique<DeferredDevice>(std::move(hash));  // runs ahead
  }
  std::unique_ptr<Sequence> NewSequence() {
    const Content content{.ids = std::vector<uint32_t>(200, 7), .prompt_length = 200, .policy = {.recent = Policy::kAll}};
    return std::make_unique<Sequence>(content, pool_.Reserve(PagesFor(content, 0, 100, 0)).value());
  }
  void Launch(Sequence* sequence, uint64_t request) {
    queue_.Launch({Slice{.sequence = sequence, .rows = 40, .logits = WantedLogits::kNone, .request = request}});
  }

  SimulatedClock clock_;
  std::unique_ptr<StepDevice> device_;
  StepQueue queue_;
  PagePool pool_;
};

TEST_P(StepQueueTest, StepsAreFinishedInTheOrderOfTheirLaunch) {
  const auto a = NewSequence(), b = NewSequence();
  EXPECT_TRUE(queue_.empty());
  Launch(a.get(), 1);
  EXPECT_EQ(queue_.full(), !GetParam());
  if (GetParam()) {
    Launch(b.get(), 2);
    EXPECT_TRUE(queue_.full());
    EXPECT_EQ(queue_.newest().parts[0].request, 2u);
  }
  const StepQueue::Finished first = queue_.FinishOldest();
  EXPECT_TRUE(first.status.ok());
  EXPECT_EQ(first.step.parts[0].request, 1u);
  EXPECT_FALSE(queue_.full());
  if (GetParam()) {
    EXPECT_EQ(queue_.FinishOldest().step.parts[0].request, 2u);
  }
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.count(), GetParam() ? 2u : 1u);
}

TEST_P(StepQueueTest, AStepTakesFromTheEndOfTheOneBefore) {
  const absl::Duration target = device_->step_target();
  const uint32_t before = queue_.budget();
  const auto a = NewSequence(), b = NewSequence();
  Launch(a.get(), 1);
  if (GetParam()) Launch(b.get(), 2);
  clock_.Advance(2 * target);
  queue_.FinishOldest();
  const uint32_t slow = queue_.budget();
  EXPECT_LT(slow, before);  // 40 rows took twice the target
  if (!GetParam()) return;
  clock_.Advance(target / 100);
  queue_.FinishOldest();  // not since its launch: that would be slow as well
  EXPECT_GT(queue_.budget(), slow);
}

TEST_P(StepQueueTest, WhatPassesBetweenStepsIsTheirCostUnlessTheEngineRests) {
  const auto sequence = NewSequence();
  const auto cost_of_a_step = [&](bool rests) {
    StepQueue queue(device_.get(), &clock_);
    for (int i = 0; i < 4 * StepCosts::kLeastSteps; ++i) {
      sequence->Reset();
      queue.Launch({Slice{.sequence = sequence.get(), .rows = 40, .logits = WantedLogits::kNone, .request = 1}});
      clock_.Advance(absl::Milliseconds(10));
      queue.FinishOldest();
      if (rests) queue.Rest();
      clock_.Advance(absl::Milliseconds(5));
    }
    return queue.costs().Of({.steps = 1, .rows = 40, .seen = 40 * 20.5});
  };
  EXPECT_NEAR(absl::ToDoubleMilliseconds(cost_of_a_step(true)), 10, 0.2);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(cost_of_a_step(false)), 15, 0.2);
}

INSTANTIATE_TEST_SUITE_P(RunsAhead, StepQueueTest, testing::Bool());

}  // namespace
}  // namespace kedge
