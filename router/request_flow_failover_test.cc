// What a request makes of nodes that fail, refuse or talk nonsense.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/base/error_reason.h"
#include "gtest/gtest.h"
#include "router/request_flow.h"
#include "router/request_flow_testing.h"

namespace kedge {
namespace {

using node::v1::DecodeRequest;
using node::v1::DecodeResponse;

using RequestFlowFailoverTest = RequestFlowTest;

TEST_F(RequestFlowFailoverTest, GoesOnAtAnotherNodeWithNothingLostOrDoubled) {
  AddNode("d1");
  AddNode("d2");
  request_.output_token_ids = true;
  Start();
  ASSERT_EQ(caller_.calls[0]->node.node_id, "d1");
  SendPrefilled(0);
  SendTokens(0, 0, {30, 31, 32});
  EndCall(0, absl::UnavailableError("Socket closed"));
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(caller_.calls[1]->node.node_id, "d2");
  EXPECT_EQ(absl::StrJoin(caller_.calls[1]->request.content().ids(), ","), "20,21,22,30,31,32");
  EXPECT_EQ(caller_.calls[1]->request.content().prompt_length(), 3u);
  EXPECT_EQ(caller_.calls[1]->request.sampling().seed(), 4711u);
  SendTokens(0, 3, {99});  // late, from the node that is given up
  SendPrefilled(1);
  SendTokens(1, 3, {33});
  SendFinished(1);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(absl::StrJoin(sink_.First().token_ids(), ","), "30,31,32,33");
  EXPECT_EQ(sink_.merged.provenance().failovers(), 1u);
  EXPECT_FALSE(sink_.merged.provenance().numerics_changed());
  EXPECT_EQ(sink_.merged.usage().segment_bytes(), 444u);
  EXPECT_EQ(sink_.merged.usage().kept_rows(), 2u);
  EXPECT_EQ(sink_.served_by.decode_nodes, (std::vector<std::string>{"d1", "d2"}));
}

TEST_F(RequestFlowFailoverTest, SaysWhenTheArithmeticChangedInTheMiddle) {
  AddNode("d1", node::v1::ROLE_DECODE, "cpu");
  AddNode("d2", node::v1::ROLE_DECODE, "gpu");
  AddNode("d3", node::v1::ROLE_DECODE, "cpu");
  Start();
  SendPrefilled(0, "cpu");
  SendTokens(0, 0, {30});
  EndCall(0, absl::UnavailableError("x"));
  ASSERT_EQ(caller_.calls[1]->node.node_id, "d3");  // the same class is preferred
  EndCall(1, absl::UnavailableError("x"));
  ASSERT_EQ(caller_.calls[2]->node.node_id, "d2");
  SendPrefilled(2, "gpu");
  SendTokens(2, 1, {31});
  SendFinished(2);
  EXPECT_TRUE(sink_.merged.provenance().numerics_changed());
  EXPECT_EQ(sink_.merged.provenance().failovers(), 2u);
}

TEST_F(RequestFlowFailoverTest, ChangeOfArithmeticBeforeTheFirstTokenIsNone) {
  AddNode("d1", node::v1::ROLE_DECODE, "cpu");
  AddNode("d2", node::v1::ROLE_DECODE, "gpu");
  Start();
  EndCall(0, absl::UnavailableError("x"));
  SendPrefilled(1, "gpu");
  SendTokens(1, 0, {31});
  SendFinished(1);
  EXPECT_FALSE(sink_.merged.provenance().numerics_changed());
}

TEST_F(RequestFlowFailoverTest, DropsRepeatedTokensAndTreatsAGapAsAFailure) {
  AddNode("d1");
  AddNode("d2");
  request_.output_token_ids = true;
  Start();
  SendTokens(0, 0, {30, 31});
  SendTokens(0, 1, {31, 32});
  SendTokens(0, 0, {30});
  SendTokens(0, 5, {35});
  EXPECT_TRUE(caller_.calls[0]->cancelled);
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(absl::StrJoin(caller_.calls[1]->request.content().ids(), ","), "20,21,22,30,31,32");
  SendTokens(1, 3, {33});
  SendFinished(1);
  EXPECT_EQ(absl::StrJoin(sink_.First().token_ids(), ","), "30,31,32,33");
}

TEST_F(RequestFlowFailoverTest, DoesNotTrustANode) {
  AddNode("d1");
  AddNode("d2");
  AddNode("d3");
  request_.max_tokens = 2;
  request_.output_token_ids = true;
  Start();
  SendTokens(0, 0, {30});
  SendTokens(0, 1, {31, 100000});  // no such id: nothing of that message counts
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(absl::StrJoin(caller_.calls[1]->request.content().ids(), ","), "20,21,22,30");
  DecodeResponse message;
  message.mutable_finished();  // no reason
  caller_.calls[1]->events.on_message(message);
  ASSERT_EQ(caller_.calls.size(), 3u);
  SendTokens(2, 1, {31});
  SendTokens(2, 2, {32});  // more than asked for
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(absl::StrJoin(sink_.First().token_ids(), ","), "30,31");
  EXPECT_EQ(sink_.First().finish_reason(), inference::v1::FINISH_REASON_LENGTH);
}

TEST_F(RequestFlowFailoverTest, AnAnswerThatLacksOnlyItsLastMessageIsWhole) {
  AddNode("d1");
  request_.max_tokens = 2;
  Start();
  SendTokens(0, 0, {30, 31});
  EXPECT_FALSE(sink_.status.has_value());
  EndCall(0, absl::UnavailableError("x"));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(sink_.First().finish_reason(), inference::v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(caller_.calls.size(), 1u);
}

TEST_F(RequestFlowFailoverTest, NeverTriesAgainAfterErrorsThatAreTheRequestsOwn) {
  for (const absl::StatusCode code : {absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kInvalidArgument,
                                      absl::StatusCode::kFailedPrecondition, absl::StatusCode::kUnimplemented}) {
    SCOPED_TRACE(static_cast<int>(code));
    NodeRegistry& registry = registry_;
    const uint64_t first = AddNode("d1");
    const uint64_t second = AddNode("d2");
    caller_.calls.clear();
    sink_ = FakeSink();
    Start();
    EndCall(0, absl::Status(code, "x"));
    ASSERT_TRUE(sink_.status.has_value());
    EXPECT_EQ(sink_.status->code(), code);
    EXPECT_EQ(caller_.calls.size(), 1u);
    registry.Remove(first);
    registry.Remove(second);
  }
}

TEST_F(RequestFlowFailoverTest, TriesThreeNodesAtMost) {
  for (const char* id : {"d1", "d2", "d3", "d4"}) AddNode(id);
  Start();
  EndCall(0, absl::UnavailableError("a"));
  EndCall(1, absl::AbortedError("b"));
  EXPECT_FALSE(sink_.status.has_value());
  EndCall(2, absl::UnknownError("c"));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(*sink_.status, absl::UnavailableError("decode node d3: c"));
  EXPECT_EQ(caller_.calls.size(), 3u);
}

TEST_F(RequestFlowFailoverTest, FailuresCountFromTheLastTokenOn) {
  AddNode("d1");
  AddNode("d2");
  request_.output_token_ids = true;
  Start();
  for (uint32_t i = 0; i < 10; ++i) {
    ASSERT_EQ(caller_.calls.size(), i + 1);
    EXPECT_EQ(caller_.calls[i]->node.node_id, i % 2 == 0 ? "d1" : "d2");  // never the one that has just failed
    SendTokens(i, i, {30 + i});
    EndCall(i, absl::UnavailableError("x"));
  }
  // Now without a token: d2 is out as the last that failed, and so nobody is left.
  ASSERT_EQ(caller_.calls.size(), 11u);
  EndCall(10, absl::UnavailableError("y"));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(*sink_.status, absl::UnavailableError("decode node d1: y"));
  EXPECT_EQ(sink_.First().token_ids_size(), 10);
  EXPECT_EQ(caller_.calls.size(), 11u);
}

TEST_F(RequestFlowFailoverTest, ThreeFailuresAfterATokenAreTooMany) {
  for (const char* id : {"d1", "d2", "d3", "d4", "d5"}) AddNode(id);
  Start();
  EndCall(0, absl::UnavailableError("x"));
  EndCall(1, absl::UnavailableError("x"));
  SendTokens(2, 0, {30});
  EndCall(2, absl::UnavailableError("x"));
  for (size_t call = 3; call < 6; ++call) {
    ASSERT_EQ(caller_.calls.size(), call + 1);
    EXPECT_FALSE(sink_.status.has_value());
    EndCall(call, absl::UnavailableError("y"));
  }
  EXPECT_TRUE(sink_.status.has_value());
  EXPECT_EQ(caller_.calls.size(), 6u);
}

TEST_F(RequestFlowFailoverTest, LossOfTheLastRegisteredNodeIsToldAtOnce) {
  AddNode("d1");
  AddNode("p1", node::v1::ROLE_PREFILL);
  Start();
  SendTokens(0, 0, {30});
  EndCall(0, absl::UnavailableError("gone"));
  ASSERT_TRUE(sink_.status.has_value());  // no time has passed
  EXPECT_EQ(*sink_.status, absl::UnavailableError("decode node d1: gone"));
}

absl::Status Full(absl::Duration room) {
  return WithRetryAfter(absl::ResourceExhaustedError("the queue is full"), room);
}

TEST_F(RequestFlowFailoverTest, TwoFullNodesAreAskedAndTheClientHearsTheLeastHint) {
  for (int i = 10; i < 30; ++i) AddNode("d" + std::to_string(i));
  Start();
  EndCall(0, Full(absl::Seconds(3)));
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_FALSE(sink_.status.has_value());
  EndCall(1, Full(absl::Seconds(7)));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfter(*sink_.status), absl::Seconds(3));
  EXPECT_EQ(caller_.calls.size(), 2u);
}

TEST_F(RequestFlowFailoverTest, AFullNodeIsNotAskedBeforeTheTimeThatItNamed) {
  AddNode("d1");
  AddNode("d2");
  Start();
  EndCall(0, Full(absl::Milliseconds(500)));
  EndCall(1, Full(absl::Milliseconds(900)));
  sink_ = FakeSink();
  Advance(absl::Milliseconds(200));
  Start();
  ASSERT_TRUE(sink_.status.has_value());  // nobody was asked
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(*sink_.status), kQueueFull);
  EXPECT_EQ(RetryAfter(*sink_.status), absl::Milliseconds(300));
  EXPECT_EQ(caller_.calls.size(), 2u);
  sink_ = FakeSink();
  Advance(absl::Milliseconds(301));
  Start();
  ASSERT_EQ(caller_.calls.size(), 3u);
  EXPECT_EQ(caller_.calls[2]->node.node_id, "d1");
}

TEST_F(RequestFlowFailoverTest, WhereANodeHasNoRoomForSoLittleTimeItIsNotAskedForAsLittle) {
  AddNode("d1");
  Start(clock_.Now() + absl::Seconds(5));
  Advance(absl::Milliseconds(400));  // the refusal is slow: the time counts that there was when the node was asked
  EndCall(0, Refusal(absl::ResourceExhaustedError("late"), kDeadlineTooShort, absl::Seconds(2)));
  ASSERT_TRUE(sink_.status.has_value());
  sink_ = FakeSink();
  Start(clock_.Now() + absl::Seconds(5));
  ASSERT_TRUE(sink_.status.has_value());  // nobody was asked
  EXPECT_EQ(ReasonOf(*sink_.status), kDeadlineTooShort);
  EXPECT_EQ(RetryAfter(*sink_.status), absl::Seconds(2));
  EXPECT_EQ(caller_.calls.size(), 1u);
  sink_ = FakeSink();
  Start(clock_.Now() + absl::Seconds(6));
  EXPECT_EQ(caller_.calls.size(), 2u);
}

TEST_F(RequestFlowFailoverTest, AnAnswerThatHasBegunAsksFullNodesToo) {
  AddNode("d1");
  AddNode("d2");
  AddNode("d3");
  Start();
  EndCall(0, Full(absl::Seconds(4)));
  EndCall(1, Full(absl::Seconds(4)));
  sink_ = FakeSink();
  Start();
  ASSERT_EQ(caller_.calls.size(), 3u);
  EXPECT_EQ(caller_.calls[2]->node.node_id, "d3");
  SendTokens(2, 0, {30});
  EndCall(2, absl::UnavailableError("x"));
  ASSERT_EQ(caller_.calls.size(), 4u);
  EXPECT_FALSE(sink_.status.has_value());
}

absl::Status Moved() { return WithReason(absl::AbortedError("full"), kMoved); }

TEST_F(RequestFlowFailoverTest, AnAnswerWithoutMemoryGoesOnWhereNobodyWaitsElseItComesBack) {
  const uint64_t first = AddNode("d1");
  AddNode("d2");
  AddNode("d3", node::v1::ROLE_DECODE, "other");
  Start();
  SendTokens(0, 0, {30});
  EndCall(0, Moved());
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(caller_.calls[1]->node.node_id, "d2");
  node::v1::Heartbeat waits;
  waits.set_waiting_requests(1);
  ASSERT_TRUE(registry_.Heartbeat(first, waits).ok());
  // Each call brings a token, so it goes on as often as it takes. The third node would write other bits.
  for (uint32_t call = 1; call < 6; ++call) {
    if (call == 3) registry_.Remove(first);
    SendTokens(call, call, {30});
    EndCall(call, Moved());
    ASSERT_EQ(caller_.calls.size(), call + 2u);
    EXPECT_EQ(caller_.calls.back()->node.node_id, "d2");
  }
  SendTokens(6, 6, {30});
  SendFinished(6);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(sink_.messages.back().provenance().moves(), 6u);
  EXPECT_EQ(sink_.messages.back().provenance().failovers(), 0u);
}

TEST_F(RequestFlowFailoverTest, ANodeThatMovedTheAnswerIsAskedForItsRowsOnce) {
  const uint64_t first = AddNode("d1");
  AddNode("d2");
  AddNode("p1", node::v1::ROLE_PREFILL);
  const auto asked = [this](size_t call) {
    std::vector<std::string> nodes;
    for (const auto& node : caller_.calls[call]->request.prefill_candidates()) nodes.push_back(node.address());
    return nodes;
  };
  using Nodes = std::vector<std::string>;
  Start();
  EXPECT_EQ(asked(0), Nodes{"p1:1"});
  SendTokens(0, 0, {30});
  EndCall(0, Moved());
  EXPECT_EQ(asked(1), (Nodes{"d1:1", "p1:1"}));
  EXPECT_EQ(registry_.Snapshot().nodes[2].assigned_tokens, 0u);  // of p1, which need not compute it
  node::v1::DecodeResponse message;
  message.mutable_prefilled()->set_prefill_node("d1");
  caller_.calls[1]->events.on_message(message);
  SendTokens(1, 1, {30});
  registry_.Remove(first);
  EndCall(1, Moved());
  EXPECT_EQ(caller_.calls[2]->node.node_id, "d2");
  EXPECT_EQ(asked(2), (Nodes{"d2:1", "p1:1"}));  // it comes back
  AddNode("d3");
  EndCall(2, absl::UnavailableError("x"));
  ASSERT_EQ(caller_.calls.size(), 4u);
  EXPECT_EQ(asked(3), Nodes{"p1:1"});
  SendFinished(3);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.served_by.prefill_nodes.empty());
}

TEST_F(RequestFlowFailoverTest, AMovedAnswerWhoseNewNodeFailsComesBack) {
  AddNode("d1");
  const uint64_t second = AddNode("d2");
  Start();
  SendTokens(0, 0, {30});
  EndCall(0, Moved());
  registry_.Remove(second);
  EndCall(1, absl::UnavailableError("x"));
  ASSERT_EQ(caller_.calls.size(), 3u);
  EXPECT_EQ(caller_.calls[2]->node.node_id, "d1");
  EXPECT_FALSE(sink_.status.has_value());
}

// A node that was told to end says that it leaves, and stays as long as it has answers.
TEST_F(RequestFlowFailoverTest, AMovedAnswerComesBackToANodeThatLeavesIfNoOtherIsThere) {
  for (const bool alone : {true, false}) {
    const uint64_t first = AddNode("d1");
    const uint64_t second = alone ? 0 : AddNode("d2");
    const size_t call = caller_.calls.size();
    sink_ = FakeSink();
    Start();
    SendTokens(call, 0, {30});
    ASSERT_EQ(caller_.calls[call]->node.node_id, "d1");
    node::v1::Heartbeat leaves;
    leaves.set_running_requests(1);
    leaves.set_leaves(true);
    ASSERT_TRUE(registry_.Heartbeat(first, leaves).ok());
    EndCall(call, Moved());
    ASSERT_EQ(caller_.calls.size(), call + 2);
    EXPECT_EQ(caller_.calls[call + 1]->node.node_id, alone ? "d1" : "d2");
    SendTokens(call + 1, 1, {30});
    SendFinished(call + 1);
    ASSERT_TRUE(sink_.status.has_value());
    EXPECT_TRUE(sink_.status->ok());
    sink_ = FakeSink();
    Start();  // what has not begun does not go there, and waits for another node
    EXPECT_EQ(caller_.calls.size(), call + (alone ? 2 : 3));
    EXPECT_EQ(caller_.calls.back()->node.node_id, alone ? "d1" : "d2");
    EXPECT_FALSE(sink_.status.has_value());
    EXPECT_EQ(registry_.CanServe(), !alone);
    if (alone) {
      Advance(absl::Seconds(1));
      EXPECT_FALSE(sink_.status.has_value());
      Advance(absl::Seconds(2));
      ASSERT_TRUE(sink_.status.has_value());
      EXPECT_EQ(sink_.status->code(), absl::StatusCode::kUnavailable);
    }
    registry_.Remove(first);
    registry_.Remove(second);
  }
}

TEST_F(RequestFlowFailoverTest, AnAnswerThatNoNodeIsLeftForIsLostNotTooLarge) {
  AddNode("d1");
  AddNode("d2");
  Start();
  SendTokens(0, 0, {30});
  EndCall(0, absl::UnavailableError("x"));
  EndCall(1, WithReason(absl::ResourceExhaustedError("832 rows"), kKvMemoryTooSmall));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(*sink_.status), "NODE_LOST");
}

TEST_F(RequestFlowFailoverTest, RefusalsOfTheOnlyNodeTakeNoRetry) {
  RetryBudget budget;
  environment_.retries = &budget;
  AddNode("d1");
  for (int i = 0; i < 2 * RetryBudget::kMost; ++i) {
    sink_ = FakeSink();
    Start();
    EndCall(caller_.calls.size() - 1, Full(absl::ZeroDuration()));
    ASSERT_TRUE(sink_.status.has_value());
  }
  int left = 0;
  while (budget.TakeRetry()) ++left;
  EXPECT_EQ(left, RetryBudget::kMost);
}

TEST_F(RequestFlowFailoverTest, ANodeThatMovesAnswersBeforeTheirFirstTokenIsOneThatFails) {
  AddNode("d1");
  Start();
  for (int call = 0; call < RequestFlow::kMaxAttempts; ++call) {
    ASSERT_EQ(caller_.calls.size(), static_cast<size_t>(call) + 1);
    EndCall(call, Moved());
  }
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kUnavailable);
}

TEST_F(RequestFlowFailoverTest, RetriesHaveABudgetUnlessTheAnswerHasBegun) {
  RetryBudget budget;
  environment_.retries = &budget;
  while (budget.TakeRetry()) {
  }
  AddNode("d1");
  AddNode("d2");
  Start();
  EndCall(0, absl::UnavailableError("x"));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(caller_.calls.size(), 1u);
  sink_ = FakeSink();
  Start();
  SendTokens(1, 0, {30});
  EndCall(1, absl::UnavailableError("x"));
  EXPECT_FALSE(sink_.status.has_value());
  EXPECT_EQ(caller_.calls.size(), 3u);
}

TEST_F(RequestFlowFailoverTest, RefusalsCountAgainstNobody) {
  for (const char* id : {"d1", "d2", "d3", "d4", "d5"}) AddNode(id);
  Start();
  EndCall(0, absl::UnavailableError("x"));
  EndCall(1, absl::ResourceExhaustedError("the queue is full"));
  EndCall(2, absl::UnavailableError("x"));
  EXPECT_FALSE(sink_.status.has_value());
  EndCall(3, absl::UnavailableError("x"));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(caller_.calls.size(), 4u);
}

TEST_F(RequestFlowFailoverTest, FullNodesAreNoNodeLossAndAnswerAtOnce) {
  AddNode("d1");
  AddNode("d2");
  Start();
  EndCall(0, absl::ResourceExhaustedError("the queue is full"));
  ASSERT_EQ(caller_.calls.size(), 2u);
  EndCall(1, absl::ResourceExhaustedError("the queue is full"));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kResourceExhausted);

  sink_ = FakeSink();
  Start();
  EndCall(2, absl::ResourceExhaustedError("the queue is full"));
  SendTokens(3, 0, {30});
  SendFinished(3);
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(sink_.merged.provenance().failovers(), 0u);
}

TEST_F(RequestFlowFailoverTest, ANodeThatRestartsIsANewOne) {
  AddNode("d2");
  clock_.Advance(NodeRegistry::kHeartbeatLimit);  // d2 is silent
  const uint64_t old = AddNode("d1");
  Start();
  ASSERT_EQ(caller_.calls.size(), 1u);
  SendTokens(0, 0, {30});
  EndCall(0, absl::UnavailableError("gone"));
  EXPECT_EQ(caller_.calls.size(), 1u);  // d2 may come back: waits
  EXPECT_FALSE(sink_.status.has_value());
  registry_.Remove(old);
  Advance(absl::Milliseconds(500));
  AddNode("d1");
  Advance(absl::Milliseconds(100));
  ASSERT_EQ(caller_.calls.size(), 2u);
  SendTokens(1, 1, {31});
  SendFinished(1);
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(sink_.served_by.decode_nodes, std::vector<std::string>{"d1"});
}

TEST_F(RequestFlowFailoverTest, CallThatEndsWithoutAReasonIsAFailure) {
  AddNode("d1");
  Start();
  SendTokens(0, 0, {30});
  EndCall(0, absl::OkStatus());
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kInternal);
}

// Whatever nodes do (die anywhere, repeat, leave out), the client gets the answer's tokens once and in order.
TEST_F(RequestFlowFailoverTest, RandomFailuresNeverChangeTheAnswer) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<uint64_t> nodes;
    for (const char* id : {"d1", "d2", "d3"}) nodes.push_back(AddNode(id));
    std::vector<uint32_t> answer;
    for (uint32_t i = 0; i < 1 + random() % 20; ++i) answer.push_back(17 + random() % 300);
    request_.output_token_ids = true;
    caller_.calls.clear();
    sink_ = FakeSink();
    Start();
    bool finished = false;
    while (!sink_.status.has_value() && !finished) {
      const size_t call = caller_.calls.size() - 1;
      const DecodeRequest& sent = caller_.calls[call]->request;
      const size_t have = static_cast<size_t>(sent.content().ids_size()) - 3;
      for (size_t i = 0; i < have; ++i) ASSERT_EQ(sent.content().ids(static_cast<int>(3 + i)), answer[i]);
      SendPrefilled(call);
      const bool dies = call < 2 && random() % 2 == 0;
      for (size_t at = have; at < answer.size() && caller_.calls.size() == call + 1;) {
        if (dies && random() % 4 == 0) break;
        size_t from = at - std::min<size_t>(at, random() % 3);                      // may repeat some
        if (dies && random() % 8 == 0) from = std::min(answer.size() - 1, at + 1);  // or leave one out
        const size_t to = std::min(answer.size(), std::max(from, at) + 1 + random() % 3);
        const std::vector<uint32_t> piece(answer.begin() + from, answer.begin() + to);
        SendTokens(call, static_cast<uint32_t>(from), piece);
        at = to;
      }
      if (caller_.calls.size() > call + 1) continue;
      if (dies) {
        EndCall(call, absl::UnavailableError("died"));
      } else {
        SendFinished(call);
        finished = true;
      }
    }
    ASSERT_TRUE(sink_.status.has_value());
    ASSERT_TRUE(sink_.status->ok()) << *sink_.status;
    EXPECT_EQ(std::vector<uint32_t>(sink_.First().token_ids().begin(), sink_.First().token_ids().end()), answer);
    for (const uint64_t node : nodes) registry_.Remove(node);
  }
}

}  // namespace
}  // namespace kedge
