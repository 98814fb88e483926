#include "prefill/prefill_engine.h"

#include <memory>
#include <optional>

#include "common/base/error_reason.h"
#include "common/engine/step_queue_testing.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

struct RecordingSink : public StateSink {
  void Send(StateEvent event) override {
    if (std::holds_alternative<StateAccepted>(event.event)) {
      accepted = std::get<StateAccepted>(std::move(event.event));
    } else if (std::holds_alternative<StateHead>(event.event)) {
      EXPECT_FALSE(header);
      header = true;
      cached = std::get<StateHead>(event.event).cached_tokens;
    } else if (std::holds_alternative<StateFrame>(event.event)) {
      EXPECT_TRUE(header);
      ++frames;
      frame_bytes += std::get<StateFrame>(event.event).frame.bytes.size();
    } else if (std::holds_alternative<StateProgress>(event.event)) {
      ++progress;
    } else {
      ended = std::get<StateEnded>(event.event).status;
    }
  }
  bool Congested() const override { return congested; }
  bool congested = false;
  std::optional<StateAccepted> accepted;
  bool header = false;
  uint32_t cached = 0;
  int frames = 0;
  size_t frame_bytes = 0;
  int progress = 0;
  std::optional<absl::Status> ended;
};

constexpr uint32_t kBadToken = 98;  // its rows come to no numbers

// Counts the rows that it computes. Each may take a while.
struct CountingDevice : public HashDevice {
  using HashDevice::HashDevice;
  std::unique_ptr<StepFuture> Launch(StepPlan plan) override {
    rows += plan.rows.size();
    if (clock != nullptr) clock->Advance(static_cast<double>(plan.rows.size()) * absl::Milliseconds(1));
    return HashDevice::Launch(std::move(plan));
  }
  uint64_t rows = 0;
  SimulatedClock* clock = nullptr;  // of the engine, where rows take time
};

class PrefillEngineTest : public testing::Test {
 protected:
  PrefillEngineTest() { NewEngine(64); }

  void NewEngine(uint32_t pages, uint32_t cache_pages = 0, RunStep run_step = nullptr) {
    engine_.reset();
    device_ = std::make_unique<CountingDevice>(
        HashDeviceOptions{.num_pages = pages, .max_rows = 64, .vocab_size = 100, .bad_token = kBadToken});
    engine_ = std::make_unique<PrefillEngine>(PrefillOptions{.fingerprint = "model",
                                                             .context_length = 5000,
                                                             .salience_heads = {.retrieval = {{0, 0}}},
                                                             .cache_pages = cache_pages,
                                                             .run_step = std::move(run_step)},
                                              device_.get(), &clock_);
  }

  void RunAll() {
    while (engine_->Turn()) {
    }
  }

  // All of a prompt but its last token, which the decode node computes.
  StateRequest Request(uint32_t tokens, Policy policy = {.recent = Policy::kAll}) {
    return {.content = {.ids = std::vector<uint32_t>(tokens, 5), .prompt_length = tokens + 1, .policy = policy},
            .fingerprint = "model",
            .kv_type = "f32"};
  }

  std::shared_ptr<RecordingSink> Add(StateRequest request, absl::Duration time = absl::InfiniteDuration()) {
    auto sink = std::make_shared<RecordingSink>();
    last_id_ = engine_->Add(std::move(request), sink, clock_.Now() + time);
    return sink;
  }

  SimulatedClock clock_;
  std::unique_ptr<CountingDevice> device_;
  std::unique_ptr<PrefillEngine> engine_;
  PrefillEngine::JobId last_id_ = 0;
};

TEST_F(PrefillEngineTest, FirstFrameLeavesBeforeTheLastChunkIsComputed) {
  const auto sink = Add(Request(500));
  engine_->Turn();
  EXPECT_TRUE(sink->accepted.has_value());
  EXPECT_GE(sink->frames, 1);
  EXPECT_FALSE(sink->ended.has_value());
  EXPECT_GT(engine_->stats().waiting_tokens, 0u);
  while (engine_->Turn()) {
  }
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

TEST_F(PrefillEngineTest, FramesLeaveInALaterTurnAndNobodyWaitsForThemWhileThereIsWork) {
  DeferredDevice device(
      std::make_unique<HashDevice>(HashDeviceOptions{.num_pages = 64, .max_rows = 64, .vocab_size = 100}));
  PrefillEngine engine({.fingerprint = "model", .context_length = 5000}, &device, &clock_);
  auto sink = std::make_shared<RecordingSink>(), other = std::make_shared<RecordingSink>();
  engine.Add(Request(150), sink, absl::InfiniteFuture());
  EXPECT_TRUE(engine.Turn());
  EXPECT_TRUE(sink->header);
  EXPECT_TRUE(engine.Turn());  // the first step is done; its copies stand behind the second one
  EXPECT_TRUE(engine.Turn());
  EXPECT_EQ(sink->frames, 0);
  EXPECT_TRUE(engine.Turn());  // the last rows are computed; the job has frames to send
  EXPECT_EQ(sink->frames, 1);
  EXPECT_FALSE(sink->ended.has_value());
  EXPECT_FALSE(engine.Turn());  // nothing else to do
  EXPECT_EQ(sink->frames, 3);
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_EQ(engine.stats().reserved_rows, 0u);
  const PrefillEngine::JobId id = engine.Add(Request(150), other, absl::InfiniteFuture());
  engine.Turn();
  engine.Turn();
  engine.Cancel(id);  // with a step and copies under way
  EXPECT_EQ(engine.stats().reserved_rows, 0u);
}

TEST_F(PrefillEngineTest, RowsThatAreNoNumbersEndTheirOwnJobAlone) {
  NewEngine(64, /*cache_pages=*/32);
  StateRequest request = Request(300);
  request.content.ids[7] = kBadToken;
  const auto bad = Add(request);
  const auto good = Add(Request(300));
  RunAll();
  ASSERT_TRUE(bad->ended.has_value());
  EXPECT_EQ(bad->ended->code(), absl::StatusCode::kInternal);
  EXPECT_EQ(bad->frames, 0);
  EXPECT_TRUE(good->ended->ok());
  EXPECT_GT(good->frames, 0);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  const auto again = Add(request);  // nothing of it was kept
  RunAll();
  EXPECT_EQ(again->cached, 0u);
  EXPECT_EQ(again->ended->code(), absl::StatusCode::kInternal);
}

TEST_F(PrefillEngineTest, ShortPromptOvertakesALongOne) {
  const auto large = Add(Request(1500));
  engine_->Turn();
  const auto small = Add(Request(20));
  int turns = 0;
  while (!small->ended.has_value()) {
    ASSERT_LT(++turns, 3);
    engine_->Turn();
  }
  EXPECT_FALSE(large->ended.has_value());
}

TEST_F(PrefillEngineTest, JobsThatWaitForRowsShowSignsOfLife) {
  NewEngine(32);
  const auto first = Add(Request(900));
  const auto second = Add(Request(900));
  EXPECT_EQ(second->accepted->tokens_ahead, 900u);
  engine_->Turn();
  EXPECT_EQ(engine_->stats().waiting, 1u);
  for (int turn = 0; turn < 4; ++turn) {  // steps as long as they are meant to be
    clock_.Advance(absl::Milliseconds(150));
    engine_->Turn();
  }
  EXPECT_EQ(second->progress, 2);  // every 300 ms
  EXPECT_EQ(first->progress, 0);   // its frames are signs enough
  while (engine_->Turn()) {
    clock_.Advance(absl::Milliseconds(100));
  }
  EXPECT_TRUE(first->ended->ok());
  EXPECT_TRUE(second->ended->ok());
}

TEST_F(PrefillEngineTest, JobOfASlowReceiverPausesWithItsRowsAndOthersGoOn) {
  const auto slow = Add(Request(500));
  const auto other = Add(Request(500));
  engine_->Turn();
  slow->congested = true;
  const int frames = slow->frames;
  while (engine_->Turn()) {
  }
  EXPECT_TRUE(other->ended.has_value());
  EXPECT_EQ(slow->frames, frames);
  EXPECT_FALSE(slow->ended.has_value());
  clock_.Advance(absl::Milliseconds(400));
  engine_->Turn();
  EXPECT_EQ(slow->progress, 1);  // it still lives
  slow->congested = false;
  while (engine_->Turn()) {
  }
  EXPECT_TRUE(slow->ended->ok());
}

TEST_F(PrefillEngineTest, CancelFreesRowsAtOnce) {
  const auto sink = Add(Request(900));
  engine_->Turn();
  EXPECT_GT(engine_->stats().reserved_rows, 0u);
  engine_->Cancel(last_id_);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  EXPECT_FALSE(engine_->Turn());
  EXPECT_FALSE(sink->ended.has_value());
}

TEST_F(PrefillEngineTest, ErrorsNameTheFieldAndTakeNothing) {
  StateRequest request = Request(5);
  request.fingerprint = "other";
  EXPECT_EQ(Add(request)->ended->code(), absl::StatusCode::kFailedPrecondition);
  request = Request(5);
  request.kv_type = "f16";
  EXPECT_NE(Add(request)->ended->message().find("kv_type"), std::string::npos);
  request = Request(5);
  request.content.ids[3] = 100;
  EXPECT_NE(Add(request)->ended->message().find("ids[3]"), std::string::npos);
  request = Request(5);
  request.held = {{0, 3}};  // and rows stand on the policy
  EXPECT_EQ(Add(request)->ended->message().find("held: "), 0u);
  request.content.policy.prefill_full = true;
  request.held = {{0, 6}};
  EXPECT_EQ(Add(request)->ended->message().find("held[0]: "), 0u);
  EXPECT_EQ(Add(Request(0))->ended->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Add(Request(6000))->ended->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Add(Request(4000))->ended->code(), absl::StatusCode::kResourceExhausted);  // 64 pages are 2048 rows
  EXPECT_EQ(engine_->stats().running + engine_->stats().waiting, 0u);
}

TEST_F(PrefillEngineTest, AReducedPromptLeavesWhenItIsWhole) {
  Policy policy{.anchors = {7}, .keep_anchors = false, .sinks = 4, .recent = 32, .view = Policy::View::kAll};
  policy.prefill_full = policy.write_full = true;
  policy.salient_millionths = 100000;
  StateRequest request = Request(499, policy);
  for (uint32_t i = 9; i < 499; i += 10) request.content.ids[i] = 7;
  request.content.prompt_length = 500;
  const auto sink = Add(request);
  while (!sink->ended.has_value()) {
    EXPECT_FALSE(sink->header);
    engine_->Turn();
  }
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_TRUE(sink->header);
  EXPECT_GE(sink->frames, 1);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

TEST_F(PrefillEngineTest, RowsThatTheReceiverHoldsAreLeftOut) {
  StateRequest request = Request(499, {.sinks = 4, .recent = 32, .prefill_full = true, .write_full = true});
  request.content.prompt_length = 500;
  for (const bool all : {false, true}) {
    request.held = {{0, 3}, {400, all ? 499u : 490u}};
    if (all) request.held[0].end = 5;
    const auto sink = Add(request);
    RunAll();
    EXPECT_TRUE(sink->ended->ok());
    EXPECT_TRUE(sink->header);
    EXPECT_EQ(sink->frames, all ? 0 : 1);
    EXPECT_EQ(sink->frame_bytes, all ? 0 : kFrameHeaderBytes + (1 + 9) * device_->row_shape().row_bytes());
  }
}

TEST_F(PrefillEngineTest, APromptGoesOnWhereWhatIsStoredEnds) {
  NewEngine(200, 200);
  const Policy window{.anchors = {7}, .sinks = 4, .recent = 40, .view = Policy::View::kAll};
  const auto first = Add(Request(600, window));
  RunAll();
  EXPECT_EQ(first->cached, 0u);
  EXPECT_EQ(device_->rows, 600u);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  EXPECT_GT(engine_->stats().cached_rows, 0u);
  StateRequest next = Request(700, window);  // the next turn of a chat
  const auto second = Add(next);
  RunAll();
  EXPECT_EQ(second->cached, 600u);
  EXPECT_EQ(device_->rows, 700u);
  next.content.ids[550] = 8;
  const auto third = Add(next);
  RunAll();
  EXPECT_EQ(third->cached, 512u);
  const auto again = Add(Request(700, window));  // a state that is there as a whole
  RunAll();
  EXPECT_EQ(again->cached, 700u);
  EXPECT_TRUE(again->ended->ok());
  EXPECT_GE(again->frames, 1);
  EXPECT_EQ(device_->rows, 700u + 188u);
}

TEST_F(PrefillEngineTest, EightClientsWithOneColdBeginningComputeItOnce) {
  for (const bool full : {false, true}) {
    NewEngine(1000, 1000);
    Policy policy{.anchors = {7}, .sinks = 4, .recent = 40, .view = Policy::View::kAll};
    policy.prefill_full = full;
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (uint32_t i = 0; i < 8; ++i) {
      StateRequest request = Request(1000 + i, policy);
      request.content.prompt_length = 1001 + i;
      std::fill(request.content.ids.begin() + 950, request.content.ids.end(), 10 + i);
      sinks.push_back(Add(request));
    }
    engine_->Turn();
    EXPECT_EQ(engine_->stats().running, 1u);
    EXPECT_EQ(engine_->stats().waiting, 7u);
    RunAll();
    for (const auto& sink : sinks) EXPECT_TRUE(sink->ended.has_value() && sink->ended->ok());
    EXPECT_EQ(device_->rows, 950u + 8 * 50 + 28);
    EXPECT_EQ(sinks[0]->cached, 0u);
    EXPECT_EQ(sinks[7]->cached, 950u);
  }
}

TEST_F(PrefillEngineTest, WhatOthersWaitForGoesOnWithoutTheOneWhoBeganIt) {
  NewEngine(200, 200);
  const auto first = Add(Request(600));
  engine_->Turn();
  const auto second = Add(Request(600)), third = Add(Request(600));
  const PrefillEngine::JobId third_id = last_id_;
  engine_->Turn();
  EXPECT_EQ(engine_->stats().running, 1u);
  engine_->Cancel(third_id - 2);
  engine_->Turn();
  EXPECT_EQ(engine_->stats().running, 1u);
  EXPECT_EQ(engine_->stats().waiting, 1u);
  RunAll();
  EXPECT_TRUE(second->ended->ok());
  EXPECT_TRUE(third->ended->ok());
  EXPECT_EQ(second->cached, 128u);
  EXPECT_EQ(third->cached, 600u);
  EXPECT_EQ(device_->rows, 600u);
  EXPECT_FALSE(first->ended.has_value());
}

TEST_F(PrefillEngineTest, NobodyWaitsForASlowReceiver) {
  NewEngine(200, 200);
  const auto slow = Add(Request(600));
  engine_->Turn();
  const auto other = Add(Request(600));
  engine_->Turn();
  EXPECT_EQ(engine_->stats().waiting, 1u);
  slow->congested = true;
  RunAll();
  EXPECT_TRUE(other->ended.has_value());
  EXPECT_FALSE(slow->ended.has_value());
}

TEST_F(PrefillEngineTest, TheCacheNeverKeepsAJobWaitingOrFailing) {
  NewEngine(34, 34);
  for (uint32_t id = 1; id < 6; ++id) {
    StateRequest request = Request(1000);  // 32 pages: nearly all
    std::fill(request.content.ids.begin(), request.content.ids.end(), id);
    const auto sink = Add(request);
    engine_->Turn();
    EXPECT_EQ(engine_->stats().running, 1u);
    RunAll();
    EXPECT_TRUE(sink->ended->ok());
    EXPECT_EQ(sink->cached, 0u);
  }
  EXPECT_LE(engine_->stats().cached_rows, 34u * kPageRows);
}

// Rows take a millisecond each, and the engine has seen some.
TEST_F(PrefillEngineTest, WhatWouldBeLateIsRefusedAtOnceAndHearsWhenThereIsRoom) {
  NewEngine(640);
  device_->clock = &clock_;
  EXPECT_FALSE(Add(Request(1500), absl::Milliseconds(1))->ended.has_value());  // nothing is known yet
  EXPECT_FALSE(Add(Request(1500))->ended.has_value());
  RunAll();
  EXPECT_GT(engine_->stats().token_time, absl::Microseconds(500));
  Add(Request(2000), absl::Seconds(9));
  EXPECT_GT(engine_->stats().work_ahead, absl::Milliseconds(1500));
  const absl::Time now = clock_.Now();
  const auto late = Add(Request(2500), absl::Seconds(3));
  ASSERT_TRUE(late->ended.has_value());
  EXPECT_EQ(late->ended->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(*late->ended), kDeadlineTooShort);
  ASSERT_TRUE(RetryAfter(*late->ended).has_value());
  EXPECT_GT(*RetryAfter(*late->ended), absl::Seconds(1));
  EXPECT_LT(*RetryAfter(*late->ended), absl::Seconds(3));
  EXPECT_FALSE(late->accepted.has_value());
  EXPECT_EQ(clock_.Now(), now);
  EXPECT_FALSE(Add(Request(2500), absl::Seconds(9))->ended.has_value());
  EXPECT_FALSE(Add(Request(2500))->ended.has_value());
  // What its caller needs for the answer counts.
  StateRequest request = Request(100);
  EXPECT_FALSE(Add(request, absl::Seconds(2))->ended.has_value());
  request.answer_time = absl::Milliseconds(1990);
  EXPECT_TRUE(Add(request, absl::Seconds(2))->ended.has_value());
  request.content.prompt_length = 100;  // the state behind a token that the client has seen
  EXPECT_FALSE(Add(request, absl::Seconds(2))->ended.has_value());
}

TEST_F(PrefillEngineTest, WhoComesWhileAStepIsComputedHearsThenWhetherItMayComeIn) {
  std::function<void()> during_step;
  NewEngine(640, 0, Once(&during_step));
  device_->clock = &clock_;
  Add(Request(1500));
  RunAll();
  Add(Request(2000), absl::Seconds(9));
  std::shared_ptr<RecordingSink> late, in_time;
  during_step = [&] {
    late = Add(Request(2500), absl::Seconds(3));
    in_time = Add(Request(2500), absl::Seconds(9));
    ASSERT_TRUE(late->ended.has_value());
    EXPECT_EQ(ReasonOf(*late->ended), kDeadlineTooShort);
    EXPECT_TRUE(in_time->accepted.has_value());
  };
  RunAll();
  ASSERT_TRUE(in_time != nullptr && in_time->ended.has_value());
  EXPECT_TRUE(in_time->ended->ok());
}

TEST_F(PrefillEngineTest, AJobWhoseTimeHasPassedCostsNoStep) {
  const auto sink = Add(Request(300), absl::Seconds(1));
  clock_.Advance(absl::Seconds(1));
  engine_->Turn();
  ASSERT_TRUE(sink->ended.has_value());
  EXPECT_EQ(sink->ended->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(device_->rows, 0u);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

TEST_F(PrefillEngineTest, QueueIsBounded) {
  engine_ = std::make_unique<PrefillEngine>(
      PrefillOptions{.fingerprint = "model", .context_length = 5000, .max_waiting_tokens = 1000}, device_.get(),
      &clock_);
  EXPECT_FALSE(Add(Request(900))->ended.has_value());
  EXPECT_FALSE(Add(Request(900))->ended.has_value());
  EXPECT_EQ(engine_->stats().full_for, absl::Seconds(1));  // no step has been measured
  const auto refused = Add(Request(10));
  EXPECT_EQ(refused->ended->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(*refused->ended), kQueueFull);
  EXPECT_TRUE(RetryAfter(*refused->ended).has_value());
}

}  // namespace
}  // namespace kedge
