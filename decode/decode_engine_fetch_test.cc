// States that come from prefill nodes, or do not.
#include <optional>

#include "common/base/error_reason.h"
#include "common/engine/state_exchange.h"
#include "decode/decode_engine.h"
#include "decode/decode_engine_testing.h"

namespace kedge {
namespace {

TEST_F(DecodeEngineTest, CandidatesAreTriedInOrderAndThenThePromptIsComputedHere) {
  DecodeJob job = Job(30);
  job.candidates = {{"p1", "one:1"}, {"p2", "two:2"}};
  const auto sink = Add(job);
  Turns(1);
  ASSERT_EQ(source_.addresses, (std::vector<std::string>{"one:1"}));
  EXPECT_EQ(source_.requests[0].content.ids.size(), 29u);  // all but the row that samples
  source_.events[0]({StateEnded{absl::UnavailableError("gone")}, 100});
  Turns(1);
  ASSERT_EQ(source_.addresses.back(), "two:2");
  EXPECT_TRUE(source_.cancelled[0]);
  source_.events[1]({StateFrame{Payload::Own({1, 2, 3})}, 50});  // a frame before the header is damage
  Turns(10);
  EXPECT_TRUE(source_.cancelled[1]);
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_EQ(sink->prefilled->prefill_node, "");
  EXPECT_EQ(sink->prefilled->segment_bytes, 150u);  // what was received is counted, used or not
}

TEST_F(DecodeEngineTest, AFullPrefillNodeIsNotAskedBeforeItsTimeAndNoMoreThanTwoAre) {
  DecodeJob job = Job(30);
  job.candidates = {{"p1", "one:1"}, {"p2", "two:2"}, {"p3", "three:3"}};
  const auto refuse = [](absl::Duration room) {
    return StateEvent{StateEnded{WithRetryAfter(absl::ResourceExhaustedError("full"), room)}};
  };
  const auto sink = Add(job);
  Turns(1);
  source_.events[0](refuse(absl::Seconds(2)));
  Turns(1);
  source_.events[1](refuse(absl::Seconds(4)));
  Turns(10);
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_EQ(source_.addresses, (std::vector<std::string>{"one:1", "two:2"}));
  EXPECT_EQ(sink->prefilled->prefill_node, "");  // read here
  clock_.Advance(absl::Seconds(1));
  job.content.ids.assign(30, 6);
  Add(job);
  Turns(1);
  EXPECT_EQ(source_.addresses.size(), 2u);  // both are noted
  clock_.Advance(absl::Seconds(2));
  job.content.ids.assign(30, 7);
  Add(job);
  Turns(1);
  EXPECT_EQ(source_.addresses.back(), "one:1");
}

// What keeps few rows needs little memory where others compute it. That they are full is no fault of the request.
TEST_F(DecodeEngineTest, WhereThePromptCannotBeComputedHereFullPrefillNodesAreAnAnswer) {
  NewEngine({}, 8);
  DecodeJob job = Job(380);
  job.content.policy = {.sinks = 4, .recent = 32};
  job.content.policy.prefill_full = true;
  job.candidates = {{"p1", "one:1"}};
  const auto sink = Add(job);
  Turns(1);
  ASSERT_EQ(source_.addresses.size(), 1u);
  source_.events[0]({StateEnded{WithRetryAfter(absl::ResourceExhaustedError("full"), absl::Seconds(3))}});
  Turns(2);
  ASSERT_TRUE(sink->ended.has_value());
  EXPECT_EQ(ReasonOf(*sink->ended), kQueueFull);
  EXPECT_EQ(RetryAfter(*sink->ended), absl::Seconds(3));
  // One that is full for those in a hurry alone is not full for all: routers note the reason.
  clock_.Advance(absl::Seconds(4));
  job.deadline = clock_.Now() + absl::Seconds(1);
  const auto hurried = Add(job);
  Turns(1);
  ASSERT_EQ(source_.addresses.size(), 2u);
  source_.events[1]({StateEnded{Refusal(absl::ResourceExhaustedError("late"), kDeadlineTooShort, absl::Seconds(3))}});
  Turns(2);
  EXPECT_EQ(ReasonOf(*hurried->ended), kDeadlineTooShort);
  EXPECT_EQ(ReasonOf(*Add(job)->ended), kDeadlineTooShort);  // it is noted
  EXPECT_EQ(source_.addresses.size(), 2u);
}

// Both nodes have others who are in a hurry. This one is not, and is served behind them.
TEST_F(DecodeEngineTest, WhoHasTimeGivesWayWhereNoPrefillNodeHasRoomToo) {
  device_->clock = &clock_;
  Add(Job(1, 50));
  Add(Job(1, 40));
  Turns(60);
  DecodeJob patient = Job(100, 10);
  patient.deadline = clock_.Now() + absl::Seconds(20);
  patient.candidates = {{"p1", "one:1"}};
  const auto sink = Add(patient);
  ASSERT_EQ(source_.events.size(), 1u);
  DecodeJob hurried = Job(1, 1);
  hurried.deadline = clock_.Now() + absl::Milliseconds(15);
  const auto first = Add(hurried);
  source_.events[0]({StateEnded{Refusal(absl::ResourceExhaustedError("late"), kDeadlineTooShort, absl::Seconds(3))}});
  for (int turn = 0; turn < 100 && !sink->ended.has_value(); ++turn) {
    Turns(1);
    clock_.Advance(absl::Milliseconds(10));
  }
  ASSERT_TRUE(first->ended.has_value() && sink->ended.has_value());
  EXPECT_TRUE(first->ended->ok()) << *first->ended;
  EXPECT_TRUE(sink->ended->ok()) << *sink->ended;
  EXPECT_EQ(sink->prefilled->prefill_node, "");
}

// A prefill node, which sends at most so many frames, then says how it ended.
void SendState(const StateRequest& request, const StateSource::OnEvent& on_event, int most_frames,
               const absl::Status& end) {
  HashDevice device({.num_pages = 64, .max_rows = 64, .vocab_size = 100});
  PagePool pool(device.num_pages());
  Sequence sequence(request.content, pool.Reserve(PagesFor(request.content, 0, 64, 0)).value());
  StateSender sender(&sequence, static_cast<uint32_t>(request.content.ids.size()), "model", request.held);
  while (sequence.ready() > 0) {
    const Slice slice{&sequence, std::min(sequence.ready(), 64u), WantedLogits::kNone};
    ASSERT_TRUE(FinishStep({slice}, LaunchStep({slice}, &device).get(), &device).ok());
  }
  on_event({StateHead{*sender.TakeHeader(device)}});
  sender.StartFrames(&device);
  std::vector<Payload> frames = sender.TakeFrames(true).value();
  for (Payload& frame : frames) {
    if (most_frames-- > 0) on_event({StateFrame{std::move(frame)}});
  }
  on_event({StateEnded{end}});
}

TEST_F(DecodeEngineTest, AStateThatIsUnderWayMakesRoomForAnAnswerAndComesAgain) {
  NewEngine({}, 15);
  const auto answer = Add(Job(50, 300));
  Turns(1);
  DecodeJob job = Job(200, 20);
  job.content.ids.assign(200, 7);
  job.candidates = {{"p1", "one:1"}};
  const auto sink = Add(job);
  Turns(1);
  ASSERT_EQ(source_.addresses.size(), 1u);
  for (int turn = 0; turn < 290 && !source_.cancelled[0]; ++turn) {
    source_.events[0]({StateProgress{1}});
    Turns(1);
  }
  ASSERT_TRUE(source_.cancelled[0]);
  EXPECT_EQ(answer->ended, std::nullopt);
  EXPECT_EQ(sink->ended, std::nullopt);
  SendState(source_.requests[0], source_.events[0], 1000, absl::OkStatus());  // too late
  Turns(2);
  EXPECT_EQ(sink->prefilled, std::nullopt);
  Turns(300);
  ASSERT_TRUE(answer->ended.has_value());
  EXPECT_TRUE(answer->ended->ok());
  ASSERT_EQ(source_.addresses, (std::vector<std::string>{"one:1", "one:1"}));
  SendState(source_.requests[1], source_.events[1], 1000, absl::OkStatus());
  Turns(30);
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_EQ(sink->prefilled->prefill_node, "p1");
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

TEST_F(DecodeEngineTest, RowsThatCameNeedNotComeAgain) {
  DecodeJob job = Job(150);
  for (uint32_t i = 0; i < 150; ++i) job.content.ids[i] = i % 90;
  job.content.policy = {.sinks = 4, .recent = 40, .prefill_full = true, .write_full = true};
  DecodeJob next = job;  // a turn later
  for (uint32_t i = 0; i < 20; ++i) next.content.ids.push_back(7 * i % 90);
  next.content.prompt_length = 170;
  const auto alone = Add(next);
  Turns(10);

  NewEngine({.held_bytes = 1 << 20});
  job.candidates = next.candidates = {{"p1", "one:1"}, {"p2", "two:2"}};
  const auto first = Add(job);
  Turns(1);
  EXPECT_TRUE(source_.requests.at(0).held.empty());
  SendState(source_.requests[0], source_.events[0], 1, absl::UnavailableError("gone"));
  Turns(1);
  // What the failed try brought is held: all rows but those behind the last full block of names.
  EXPECT_EQ(source_.requests.at(1).held, (std::vector<PositionRange>{{0, 4}, {110, 144}}));
  SendState(source_.requests[1], source_.events[1], 1, absl::OkStatus());
  Turns(10);
  EXPECT_EQ(first->prefilled->held_rows, 38u);
  EXPECT_EQ(first->prefilled->kept_rows, 4u + 39);

  const auto second = Add(next);
  Turns(1);
  EXPECT_EQ(source_.requests.at(2).held, (std::vector<PositionRange>{{0, 4}, {110, 144}}));
  SendState(source_.requests[2], source_.events[2], 1, absl::OkStatus());
  Turns(10);
  ASSERT_TRUE(second->ended.has_value());
  EXPECT_TRUE(second->ended->ok()) << *second->ended;
  EXPECT_EQ(second->ids, alone->ids);
  EXPECT_EQ(second->prefilled->held_rows, 4u + 14);
  EXPECT_EQ(engine_->stats().held_rows, 38u + 16);  // up to row 159
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

TEST_F(DecodeEngineTest, WhereAllCandidatesFailNothingWasHeld) {
  NewEngine({.held_bytes = 1 << 20});
  DecodeJob job = Job(150);
  job.content.policy = {.sinks = 4, .recent = 40, .prefill_full = true, .write_full = true};
  const auto alone = Add(job);
  Turns(10);
  job.candidates = {{"p1", "one:1"}, {"p2", "two:2"}};
  const auto sink = Add(job);
  Turns(1);
  for (int i = 0; i < 2; ++i) {
    SendState(source_.requests.at(i), source_.events.at(i), i == 0 ? 1 : 0, absl::UnavailableError("gone"));
    Turns(1);
  }
  Turns(20);
  ASSERT_TRUE(sink->ended.has_value() && sink->ended->ok());
  EXPECT_EQ(sink->ids, alone->ids);
  EXPECT_EQ(sink->prefilled->prefill_node, "");
  EXPECT_EQ(sink->prefilled->held_rows, 0u);
}

TEST_F(DecodeEngineTest, SilentCandidateIsGivenUp) {
  DecodeJob job = Job(30);
  job.candidates = {{"p1", "one:1"}};
  const auto sink = Add(job);
  Turns(1);
  clock_.Advance(absl::Seconds(2));
  source_.events[0]({StateProgress{3}, 4});
  Turns(1);
  clock_.Advance(absl::Seconds(2));
  Turns(3);
  EXPECT_TRUE(sink->ids.empty());  // a sign of life came in between
  clock_.Advance(absl::Seconds(2));
  Turns(10);
  EXPECT_TRUE(source_.cancelled[0]);
  EXPECT_EQ(sink->ids.size(), 5u);
}

TEST_F(DecodeEngineTest, LateEventsOfAnEarlierTryAreIgnored) {
  DecodeJob job = Job(30);
  job.candidates = {{"p1", "one:1"}, {"p2", "two:2"}};
  const auto sink = Add(job);
  Turns(1);
  source_.events[0]({StateEnded{absl::UnavailableError("gone")}});
  Turns(1);
  source_.events[0]({StateEnded{absl::OkStatus()}});
  Turns(3);
  EXPECT_FALSE(source_.cancelled[1]);
  EXPECT_TRUE(sink->ids.empty());
}

TEST_F(DecodeEngineTest, FewMissingTokensAreComputedHere) {
  NewEngine({.row_source = {.min_remote_tokens = 50}});
  DecodeJob job = Job(30);
  job.candidates = {{"p1", "one:1"}};
  const auto sink = Add(job);
  Turns(10);
  EXPECT_TRUE(source_.addresses.empty());
  EXPECT_EQ(sink->ids.size(), 5u);
}

TEST_F(DecodeEngineTest, AReceivedStateTakesFewerRowsThanAPromptComputedHere) {
  NewEngine({.salience_heads = {.retrieval = {{0, 0}}}}, 20);  // 640 rows
  DecodeJob job = Job(300);
  for (uint32_t i = 9; i < 300; i += 10) job.content.ids[i] = 7;
  job.content.policy = {.anchors = {7}, .keep_anchors = false, .sinks = 4, .recent = 32, .view = Policy::View::kAll};
  job.content.policy.prefill_full = job.content.policy.write_full = true;
  job.content.policy.salient_millionths = 100000;
  job.candidates = {{"p1", "one:1"}};
  const auto first = Add(job);
  Turns(1);
  const uint64_t received = engine_->stats().reserved_rows;
  EXPECT_LT(received, 300u);
  EXPECT_EQ(source_.requests[0].content.prompt_length, 300u);
  EXPECT_EQ(source_.requests[0].content.ids.size(), 299u);
  // The node fails: the job waits for the rows of its whole prompt, which are there, and goes on.
  source_.events[0]({StateEnded{absl::UnavailableError("gone")}});
  Turns(2);
  EXPECT_GT(engine_->stats().reserved_rows, 300u);
  Turns(20);
  ASSERT_TRUE(first->ended.has_value());
  EXPECT_TRUE(first->ended->ok()) << *first->ended;
  EXPECT_EQ(first->ids.size(), 5u);
  ASSERT_TRUE(first->prefilled->salient.has_value());
  EXPECT_EQ(first->prefilled->kept_ranges.back().end, 300u);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);

  // Where they are not to be had, that is the answer.
  NewEngine({.salience_heads = {.retrieval = {{0, 0}}}}, 9);
  source_ = {};
  const auto second = Add(job);
  Turns(1);
  EXPECT_FALSE(second->ended.has_value());
  source_.events[0]({StateEnded{absl::UnavailableError("gone")}});
  Turns(2);
  ASSERT_TRUE(second->ended.has_value());
  EXPECT_EQ(second->ended->code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(DecodeEngineTest, AStateThatGetsNoFurtherIsGivenUp) {
  DecodeJob job = Job(40);
  job.candidates = {{"p1", "one:1"}};
  const auto sink = Add(job);
  Turns(1);
  ASSERT_EQ(source_.events.size(), 1u);
  source_.events[0]({StateAccepted{}});
  const auto pass = [&](absl::Duration duration, uint32_t computed) {
    for (absl::Duration passed; passed < duration && !source_.cancelled[0]; passed += absl::Seconds(1)) {
      clock_.Advance(absl::Seconds(1));
      source_.events[0]({StateProgress{computed}});
      Turns(1);
    }
  };
  pass(absl::Seconds(100), 5);
  pass(absl::Seconds(100), 6);
  EXPECT_FALSE(source_.cancelled[0]);
  pass(absl::Seconds(100), 6);
  EXPECT_TRUE(source_.cancelled[0]);
}

}  // namespace
}  // namespace kedge
