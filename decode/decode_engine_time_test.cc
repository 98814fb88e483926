// Jobs that have only so much time, and those that come while a step is computed.
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/error_reason.h"
#include "common/engine/step_queue_testing.h"
#include "decode/decode_engine.h"
#include "decode/decode_engine_testing.h"

namespace kedge {
namespace {

TEST_F(DecodeEngineTest, WhatWouldBeLateIsRefusedAtOnceAndHearsWhenThereIsRoom) {
  NewEngine({}, 14);  // one request of 300 rows at a time
  device_->clock = &clock_;
  const auto in_time = [this](DecodeJob job, absl::Duration time) {
    job.deadline = clock_.Now() + time;
    return Add(std::move(job));
  };
  Add(Job(1, 50));
  Add(Job(1, 40));
  Turns(60);
  const auto first = in_time(Job(300, 100), absl::Seconds(9));
  Turns(6);
  EXPECT_EQ(engine_->stats().work_ahead, absl::ZeroDuration());
  const absl::Time now = clock_.Now();
  const auto late = in_time(Job(300, 10), absl::Seconds(1));
  ASSERT_TRUE(late->ended.has_value());
  EXPECT_EQ(late->ended->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(*late->ended), kDeadlineTooShort);
  ASSERT_TRUE(RetryAfter(*late->ended).has_value());
  EXPECT_GT(*RetryAfter(*late->ended), absl::Milliseconds(100));
  EXPECT_LT(*RetryAfter(*late->ended), absl::Seconds(2));
  EXPECT_EQ(clock_.Now(), now);
  const auto second = in_time(Job(300, 10), absl::Seconds(8));
  EXPECT_FALSE(second->ended.has_value());
  EXPECT_GT(engine_->stats().work_ahead, absl::Milliseconds(500));
  // One that has begun is let in, and before those that have not.
  DecodeJob begun = Job(300, 10);
  begun.content.prompt_length = 297;
  const auto third = in_time(begun, absl::Milliseconds(200));
  EXPECT_FALSE(third->ended.has_value());
  clock_.Advance(absl::Milliseconds(200));
  Turns(1);
  EXPECT_EQ(third->ended->code(), absl::StatusCode::kDeadlineExceeded);
  const auto fourth = in_time(begun, absl::Seconds(8));
  Turns(400);
  EXPECT_TRUE(first->ended->ok());
  EXPECT_TRUE(second->ended->ok());
  EXPECT_TRUE(fourth->ended->ok());
  EXPECT_LT(fourth->prefilled->queue_time, second->prefilled->queue_time);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

TEST_F(DecodeEngineTest, WhoHasTimeGivesWayToWhoHasNone) {
  device_->clock = &clock_;
  Add(Job(1, 50));
  Add(Job(1, 40));
  Turns(60);
  DecodeJob hurried = Job(1, 1);  // 11 ms a token, and 12 with another one
  hurried.deadline = clock_.Now() + absl::Milliseconds(13);
  const auto first = Add(hurried);
  DecodeJob patient = Job(100, 10);
  patient.deadline = clock_.Now() + absl::Seconds(20);
  const auto second = Add(patient);
  EXPECT_EQ(second->ended, std::nullopt);
  DecodeJob other = Job(100, 10);
  other.deadline = clock_.Now() + absl::Milliseconds(400);
  const auto third = Add(other);
  ASSERT_TRUE(third->ended.has_value());
  EXPECT_EQ(ReasonOf(*third->ended), kDeadlineTooShort);
  Turns(4);
  ASSERT_TRUE(first->ended.has_value());
  EXPECT_TRUE(first->ended->ok());
  EXPECT_EQ(first->ids.size(), 1u);
  for (int turn = 0; turn < 100 && !second->ended.has_value(); ++turn) {
    clock_.Advance(absl::Milliseconds(10));
    Turns(1);
  }
  ASSERT_TRUE(second->ended.has_value());
  EXPECT_TRUE(second->ended->ok());
  EXPECT_GE(second->prefilled->queue_time, absl::Milliseconds(10));
}

TEST_F(DecodeEngineTest, WhoComesWhileAStepIsComputedHearsThenWhetherItMayComeIn) {
  std::function<void()> during_step;
  NewEngine({.run_step = Once(&during_step)});
  device_->clock = &clock_;
  Add(Job(1, 50));
  Add(Job(1, 40));
  Turns(60);
  Add(Job(1, 1));
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  during_step = [&] {
    DecodeJob hurried = Job(1, 10);  // 11 ms a token, and one more for each other answer: a third one has no time
    hurried.deadline = clock_.Now() + absl::Milliseconds(148);
    for (int i = 0; i < 3; ++i) sinks.push_back(Add(hurried));
    EXPECT_EQ(sinks[1]->ended, std::nullopt);
    ASSERT_TRUE(sinks[2]->ended.has_value());
    EXPECT_EQ(ReasonOf(*sinks[2]->ended), kDeadlineTooShort);
  };
  Turns(1);
  ASSERT_EQ(sinks.size(), 3u);
  Turns(10);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(sinks[i]->ended.has_value());
    EXPECT_TRUE(sinks[i]->ended->ok());
  }
}

TEST_F(DecodeEngineTest, WhatIsStoredOfAPromptIsNoWorkToThoseThatComeWithIt) {
  std::function<void()> during_step;
  NewEngine({.cache_pages = 64, .run_step = Once(&during_step)});
  device_->clock = &clock_;
  Add(Job(1, 50));
  Add(Job(300, 40));
  Turns(70);
  Add(Job(2, 1));
  std::shared_ptr<RecordingSink> again, hurried;
  during_step = [&] {
    again = Add(Job(301));
    DecodeJob job = Job(1, 5);
    job.deadline = clock_.Now() + absl::Milliseconds(200);  // 300 rows take longer
    hurried = Add(job);
  };
  Turns(10);
  ASSERT_TRUE(hurried != nullptr && hurried->ended.has_value());
  EXPECT_TRUE(hurried->ended->ok()) << *hurried->ended;
  EXPECT_EQ(again->prefilled->cached_tokens, 300u);
}

}  // namespace
}  // namespace kedge
