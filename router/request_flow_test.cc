#include "router/request_flow.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "common/anchor/policy.h"
#include "common/model/gguf.h"
#include "common/rpc/protocol.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"
#include "router/response_merge.h"

namespace kedge {
namespace {

using inference::v1::GenerateStreamResponse;
using node::v1::DecodeRequest;
using node::v1::DecodeResponse;

// A Decode call as its node sees it. The test plays the node.
struct FakeCall : DecodeCall {
  void Cancel() override { cancelled = true; }

  NodeSnapshot node;
  DecodeRequest request;
  absl::Time deadline;
  DecodeEvents events;
  bool cancelled = false;
};

class FakeCaller : public DecodeCaller {
 public:
  std::shared_ptr<DecodeCall> Start(const NodeSnapshot& node, DecodeRequest request, absl::Time deadline,
                                    DecodeEvents events) override {
    auto call = std::make_shared<FakeCall>();
    call->node = node;
    call->request = std::move(request);
    call->deadline = deadline;
    call->events = std::move(events);
    calls.push_back(call);
    return call;
  }
  std::vector<std::shared_ptr<FakeCall>> calls;
};

struct FakeSink : ResponseSink {
  void Message(GenerateStreamResponse message) override {
    EXPECT_FALSE(status.has_value()) << "a message after the end";
    MergeResponse(message, &merged);
    messages.push_back(std::move(message));
  }
  void Finish(const absl::Status& final_status, const ServedBy& nodes) override {
    EXPECT_FALSE(status.has_value()) << "two ends";
    status = final_status;
    served_by = nodes;
  }
  // Of one completion, all messages together.
  std::string Text(uint32_t index = 0) const {
    for (const auto& completion : merged.completions()) {
      if (completion.index() == index) return completion.text();
    }
    return "";
  }
  const inference::v1::Completion& First() const { return merged.completions(0); }

  std::vector<GenerateStreamResponse> messages;
  GenerateStreamResponse merged;
  std::optional<absl::Status> status;
  ServedBy served_by;
};

class RequestFlowTest : public testing::Test {
 protected:
  RequestFlowTest() {
    bytes_ = MakeTinyModel({});
    const auto* data = reinterpret_cast<const uint8_t*>(bytes_.data());
    file_ = *GgufFile::Parse(absl::MakeConstSpan(data, bytes_.size()), "tiny");
    tokenizer_ = *Tokenizer::Load(*file_);
    environment_.clock = &clock_;
    environment_.tokenizer = tokenizer_.get();
    environment_.registry = &registry_;
    environment_.prefixes = &prefixes_;
    environment_.caller = &caller_;
    environment_.run_after = [this](absl::Duration delay, std::function<void()> closure) {
      timers_.emplace(clock_.Now() + delay, std::move(closure));
    };
    environment_.draw_seed = [] { return uint64_t{4711}; };
    request_.request_id = "r1";
    request_.model = "tiny";
    request_.prompt_ids = {20, 21, 22};
    request_.policy = "canonical";
    request_.max_tokens = 100;
  }

  uint64_t AddNode(const std::string& id, node::v1::Role role = node::v1::ROLE_DECODE,
                   const std::string& numerics_class = "cpu") {
    node::v1::NodeInfo info;
    info.set_protocol_version(kProtocolVersion);
    info.set_node_id(id);
    info.set_role(role);
    info.set_address(id + ":1");
    info.set_fingerprint("print");
    info.set_numerics_class(numerics_class);
    info.set_kv_type("f16");
    info.set_total_rows(1000);
    return *registry_.Register(info);
  }

  void Start(absl::Time deadline = absl::InfiniteFuture()) {
    flow_ = RequestFlow::Create(&environment_, request_, clock_.Now(), deadline, &sink_);
    flow_->Start();
  }

  // Lets time pass and runs what falls due.
  void Advance(absl::Duration duration) {
    const absl::Time end = clock_.Now() + duration;
    while (!timers_.empty() && timers_.begin()->first <= end) {
      clock_.Advance(timers_.begin()->first - clock_.Now());
      const auto closure = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      closure();
    }
    clock_.Advance(end - clock_.Now());
  }

  std::vector<uint32_t> Ids(const std::string& text) const { return *tokenizer_->Encode(text); }

  DecodeResponse TokensMessage(uint32_t first_index, const std::vector<uint32_t>& ids) const {
    DecodeResponse message;
    message.set_first_index(first_index);
    for (const uint32_t id : ids) message.add_tokens()->set_id(id);
    return message;
  }
  void SendPrefilled(size_t call, const std::string& numerics_class = "cpu") {
    DecodeResponse message;
    auto* prefilled = message.mutable_prefilled();
    prefilled->set_prefill_node("p1");
    prefilled->set_kept_rows(2);
    prefilled->set_row_bytes(100);
    prefilled->set_segment_bytes(222);
    prefilled->set_queue_us(1000);
    prefilled->set_prefill_us(2000);
    prefilled->set_numerics_class(numerics_class);
    caller_.calls[call]->events.on_message(message);
  }
  void SendTokens(size_t call, uint32_t first_index, const std::vector<uint32_t>& ids) {
    caller_.calls[call]->events.on_message(TokensMessage(first_index, ids));
  }
  void SendFinished(size_t call, node::v1::EndReason reason = node::v1::END_REASON_END_ID) {
    DecodeResponse message;
    message.mutable_finished()->set_reason(reason);
    if (reason == node::v1::END_REASON_END_ID) message.mutable_finished()->set_end_id(2);
    caller_.calls[call]->events.on_message(message);
    caller_.calls[call]->events.on_done(absl::OkStatus());
  }
  void EndCall(size_t call, const absl::Status& status) { caller_.calls[call]->events.on_done(status); }

  std::string bytes_;
  std::shared_ptr<const GgufFile> file_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  SimulatedClock clock_;
  NodeRegistry registry_{&clock_, "canonical"};
  PrefixMemory prefixes_;
  FakeCaller caller_;
  FlowEnvironment environment_;
  std::multimap<absl::Time, std::function<void()>> timers_;
  RouterRequest request_;
  FakeSink sink_;
  std::shared_ptr<RequestFlow> flow_;
};

TEST_F(RequestFlowTest, SendsTheWholeRequestToADecodeNode) {
  AddNode("d1");
  AddNode("p1", node::v1::ROLE_PREFILL);
  AddNode("p2", node::v1::ROLE_PREFILL);
  request_.no_anchor_positions = {1, 2};
  request_.temperature = 0.5f;
  request_.top_p = 0.9f;
  request_.top_k = 4;
  request_.min_p = 0.1f;
  request_.frequency_penalty = 0.2f;
  request_.presence_penalty = 0.3f;
  request_.repetition_penalty = 1.1f;
  request_.logit_bias = {{7, -1.0f}};
  request_.min_tokens = 3;
  request_.end_ids = {0, 2};
  request_.logprobs = 5;
  const absl::Time deadline = clock_.Now() + absl::Seconds(30);
  Start(deadline);
  ASSERT_EQ(caller_.calls.size(), 1u);
  EXPECT_EQ(caller_.calls[0]->node.address, "d1:1");
  EXPECT_EQ(caller_.calls[0]->deadline, deadline);
  const DecodeRequest& sent = caller_.calls[0]->request;
  EXPECT_EQ(sent.request_id(), "r1");
  EXPECT_EQ(absl::StrJoin(sent.content().ids(), ","), "20,21,22");
  EXPECT_EQ(sent.content().prompt_length(), 3u);
  EXPECT_EQ(absl::StrJoin(sent.content().no_anchor_positions(), ","), "1,2");
  EXPECT_EQ(sent.content().policy(), "canonical");
  EXPECT_EQ(sent.content().fingerprint(), "print");
  EXPECT_EQ(sent.sampling().temperature(), 0.5f);
  EXPECT_EQ(sent.sampling().top_p(), 0.9f);
  EXPECT_EQ(sent.sampling().top_k(), 4u);
  EXPECT_EQ(sent.sampling().min_p(), 0.1f);
  EXPECT_EQ(sent.sampling().frequency_penalty(), 0.2f);
  EXPECT_EQ(sent.sampling().presence_penalty(), 0.3f);
  EXPECT_EQ(sent.sampling().repetition_penalty(), 1.1f);
  EXPECT_EQ(sent.sampling().logit_bias().at(7), -1.0f);
  EXPECT_EQ(sent.sampling().seed(), 4711u);
  EXPECT_EQ(sent.sampling().completion_index(), 0u);
  EXPECT_EQ(sent.sampling().max_tokens(), 100u);
  EXPECT_EQ(sent.sampling().min_tokens(), 3u);
  EXPECT_EQ(absl::StrJoin(sent.sampling().end_ids(), ","), "0,2");
  EXPECT_EQ(sent.sampling().logprobs(), 5u);
  ASSERT_EQ(sent.prefill_candidates_size(), 2);
  EXPECT_EQ(sent.prefill_candidates(0).node_id(), "p1");
  EXPECT_EQ(sent.prefill_candidates(0).address(), "p1:1");
  flow_->Cancel(absl::CancelledError());
}

TEST_F(RequestFlowTest, StreamsTextAndEndsWithCountsTimingsAndProvenance) {
  AddNode("d1");
  Start();
  ASSERT_EQ(caller_.calls.size(), 1u);
  EXPECT_EQ(caller_.calls[0]->request.prefill_candidates_size(), 0);
  clock_.Advance(absl::Milliseconds(10));
  SendPrefilled(0);
  EXPECT_TRUE(sink_.messages.empty());
  SendTokens(0, 0, Ids("Hi"));
  ASSERT_EQ(sink_.messages.size(), 1u);
  EXPECT_EQ(sink_.messages[0].request_id(), "r1");
  EXPECT_EQ(sink_.messages[0].model(), "tiny");
  EXPECT_EQ(sink_.messages[0].usage().prompt_tokens(), 3u);
  EXPECT_EQ(sink_.messages[0].usage().kept_rows(), 2u);
  EXPECT_EQ(sink_.messages[0].usage().full_bytes(), 300u);
  EXPECT_FALSE(sink_.messages[0].has_timings());
  const size_t first = Ids("Hi").size();
  clock_.Advance(absl::Milliseconds(10));
  SendTokens(0, static_cast<uint32_t>(first), Ids(" you"));
  EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_requests, 1u);
  SendFinished(0);

  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(sink_.Text(), "Hi you");
  EXPECT_EQ(sink_.First().finish_reason(), inference::v1::FINISH_REASON_STOP);
  EXPECT_EQ(sink_.First().matched_token_id(), 2u);
  const GenerateStreamResponse& last = sink_.messages.back();
  EXPECT_EQ(last.usage().completion_tokens(), first + Ids(" you").size());
  EXPECT_EQ(last.usage().segment_bytes(), 222u);
  EXPECT_EQ(last.timings().queue_duration().nanos(), 1'000'000);
  EXPECT_EQ(last.timings().prefill_duration().nanos(), 2'000'000);
  EXPECT_EQ(last.timings().first_token_duration().nanos(), 10'000'000);
  EXPECT_EQ(last.timings().total_duration().nanos(), 20'000'000);
  EXPECT_EQ(last.provenance().seed(), 4711u);
  EXPECT_EQ(last.provenance().policy(), "canonical");
  EXPECT_EQ(last.provenance().failovers(), 0u);
  EXPECT_FALSE(last.provenance().numerics_changed());
  EXPECT_EQ(sink_.served_by.decode_nodes, std::vector<std::string>{"d1"});
  EXPECT_EQ(sink_.served_by.prefill_nodes, std::vector<std::string>{"p1"});
  EXPECT_FALSE(caller_.calls[0]->cancelled);
  EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_requests, 0u);
}

TEST_F(RequestFlowTest, LengthEndAndAnEmptyAnswer) {
  AddNode("d1");
  request_.seed = 5;
  Start();
  SendPrefilled(0);
  SendFinished(0, node::v1::END_REASON_LENGTH);
  ASSERT_TRUE(sink_.status.has_value());
  ASSERT_EQ(sink_.messages.size(), 1u);
  EXPECT_EQ(sink_.First().finish_reason(), inference::v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(sink_.messages[0].model(), "tiny");
  EXPECT_EQ(sink_.messages[0].provenance().seed(), 5u);
  EXPECT_EQ(sink_.messages[0].usage().completion_tokens(), 0u);
}

TEST_F(RequestFlowTest, GoesOnAtAnotherNodeWithNothingLostOrDoubled) {
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

TEST_F(RequestFlowTest, SaysWhenTheArithmeticChangedInTheMiddle) {
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

TEST_F(RequestFlowTest, ChangeOfArithmeticBeforeTheFirstTokenIsNone) {
  AddNode("d1", node::v1::ROLE_DECODE, "cpu");
  AddNode("d2", node::v1::ROLE_DECODE, "gpu");
  Start();
  EndCall(0, absl::UnavailableError("x"));
  SendPrefilled(1, "gpu");
  SendTokens(1, 0, {31});
  SendFinished(1);
  EXPECT_FALSE(sink_.merged.provenance().numerics_changed());
}

TEST_F(RequestFlowTest, DropsRepeatedTokensAndTreatsAGapAsAFailure) {
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

TEST_F(RequestFlowTest, DoesNotTrustANode) {
  AddNode("d1");
  AddNode("d2");
  AddNode("d3");
  request_.max_tokens = 2;
  request_.output_token_ids = true;
  Start();
  SendTokens(0, 0, {30, 100000});  // no such id: what came before counts
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(absl::StrJoin(caller_.calls[1]->request.content().ids(), ","), "20,21,22,30");
  DecodeResponse message;
  message.mutable_finished();  // no reason
  caller_.calls[1]->events.on_message(message);
  ASSERT_EQ(caller_.calls.size(), 3u);
  SendTokens(2, 1, {31, 32});  // more than asked for
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(absl::StrJoin(sink_.First().token_ids(), ","), "30,31");
  EXPECT_EQ(sink_.First().finish_reason(), inference::v1::FINISH_REASON_LENGTH);
}

TEST_F(RequestFlowTest, AnAnswerThatLacksOnlyItsLastMessageIsWhole) {
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

TEST_F(RequestFlowTest, StopStringAcrossTokensEndsTheCall) {
  AddNode("d1");
  request_.stop = {"END"};
  request_.output_token_ids = true;
  Start();
  SendPrefilled(0);
  SendTokens(0, 0, Ids("ok E"));
  const uint32_t at = static_cast<uint32_t>(Ids("ok E").size());
  std::vector<uint32_t> rest = Ids("N");
  SendTokens(0, at, rest);
  EXPECT_EQ(sink_.Text(), "ok ");
  std::vector<uint32_t> end = Ids("D");
  end.push_back(40);  // what comes in the same message after the stop string
  SendTokens(0, at + static_cast<uint32_t>(rest.size()), end);
  EXPECT_TRUE(caller_.calls[0]->cancelled);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok());
  EXPECT_EQ(sink_.Text(), "ok ");
  EXPECT_EQ(sink_.First().finish_reason(), inference::v1::FINISH_REASON_STOP);
  EXPECT_EQ(sink_.First().matched_stop_str(), "END");
  EXPECT_EQ(sink_.First().token_ids_size(), static_cast<int>(at + rest.size() + end.size() - 1));
  EndCall(0, absl::CancelledError());  // late
  EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_requests, 0u);
}

TEST_F(RequestFlowTest, ThreeCompletionsAreThreeCallsOnTheLeastLoadedNodes) {
  AddNode("d1");
  AddNode("d2");
  request_.n = 3;
  Start();
  ASSERT_EQ(caller_.calls.size(), 3u);
  EXPECT_EQ(caller_.calls[0]->node.node_id, "d1");
  EXPECT_EQ(caller_.calls[1]->node.node_id, "d2");
  EXPECT_EQ(caller_.calls[2]->node.node_id, "d1");
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(caller_.calls[i]->request.sampling().completion_index(), i);
    EXPECT_EQ(caller_.calls[i]->request.sampling().seed(), 4711u);
    SendPrefilled(i);
  }
  SendTokens(2, 0, Ids("c"));
  EXPECT_EQ(sink_.messages[0].usage().prompt_tokens(), 3u);
  SendFinished(2);
  SendTokens(0, 0, Ids("a"));
  SendFinished(0, node::v1::END_REASON_LENGTH);
  EXPECT_FALSE(sink_.status.has_value());
  EXPECT_FALSE(sink_.messages.back().has_timings());
  SendTokens(1, 0, Ids("b"));
  SendFinished(1);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.messages.back().has_timings());
  EXPECT_EQ(sink_.Text(0) + sink_.Text(1) + sink_.Text(2), "abc");
  EXPECT_EQ(sink_.merged.usage().completion_tokens(), 3u);
  EXPECT_EQ(sink_.merged.usage().segment_bytes(), 666u);
  EXPECT_EQ(sink_.merged.usage().full_bytes(), 300u);
}

TEST_F(RequestFlowTest, ErrorOfOneCompletionEndsAll) {
  AddNode("d1");
  request_.n = 2;
  Start();
  EndCall(0, absl::InvalidArgumentError("content.policy: unknown"));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(sink_.status->message(), "decode node d1: content.policy: unknown");
  EXPECT_TRUE(caller_.calls[1]->cancelled);
  EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_requests, 0u);
}

TEST_F(RequestFlowTest, CancelEndsTheCallsInEveryState) {
  Start();  // no node: waits
  flow_->Cancel(absl::CancelledError());
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kCancelled);
  AddNode("d1");
  Advance(absl::Seconds(1));
  EXPECT_TRUE(caller_.calls.empty());

  sink_ = FakeSink();
  Start();
  SendTokens(0, 0, {30});
  flow_->Cancel(absl::CancelledError());
  EXPECT_TRUE(caller_.calls[0]->cancelled);
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kCancelled);
  SendTokens(0, 1, {31});
  EndCall(0, absl::CancelledError());
  flow_->Cancel(absl::InternalError("again"));
  EXPECT_EQ(sink_.messages.size(), 1u);
  EXPECT_EQ(caller_.calls.size(), 1u);

  sink_ = FakeSink();
  flow_ = RequestFlow::Create(&environment_, request_, clock_.Now(), absl::InfiniteFuture(), &sink_);
  flow_->Cancel(absl::CancelledError());  // before Start
  flow_->Start();
  EXPECT_EQ(caller_.calls.size(), 1u);
}

TEST_F(RequestFlowTest, WaitsForANodeAndThenSaysThatThereIsNone) {
  Start();
  Advance(absl::Milliseconds(1500));
  EXPECT_FALSE(sink_.status.has_value());
  Advance(absl::Milliseconds(600));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(*sink_.status, absl::UnavailableError("no decode node is ready"));

  sink_ = FakeSink();
  Start();
  Advance(absl::Milliseconds(500));
  AddNode("d1");
  Advance(absl::Milliseconds(100));
  EXPECT_EQ(caller_.calls.size(), 1u);
  flow_->Cancel(absl::CancelledError());
}

TEST_F(RequestFlowTest, DeadlineEndsTheWait) {
  Start(clock_.Now() + absl::Milliseconds(300));
  Advance(absl::Milliseconds(400));
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(RequestFlowTest, NeverTriesAgainAfterErrorsThatAreTheRequestsOwn) {
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

TEST_F(RequestFlowTest, TriesThreeNodesAtMost) {
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

TEST_F(RequestFlowTest, FailuresCountFromTheLastTokenOn) {
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

TEST_F(RequestFlowTest, ThreeFailuresAfterATokenAreTooMany) {
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

TEST_F(RequestFlowTest, LossOfTheLastRegisteredNodeIsToldAtOnce) {
  AddNode("d1");
  AddNode("p1", node::v1::ROLE_PREFILL);
  Start();
  SendTokens(0, 0, {30});
  EndCall(0, absl::UnavailableError("gone"));
  ASSERT_TRUE(sink_.status.has_value());  // no time has passed
  EXPECT_EQ(*sink_.status, absl::UnavailableError("decode node d1: gone"));
}

TEST_F(RequestFlowTest, RefusalsCountAgainstNobodyAndEachNodeIsAskedOnce) {
  for (const char* id : {"d1", "d2", "d3", "d4", "d5"}) AddNode(id);
  Start();
  for (size_t call = 0; call < 5; ++call) {
    ASSERT_EQ(caller_.calls.size(), call + 1);
    EXPECT_FALSE(sink_.status.has_value());
    EndCall(call, absl::ResourceExhaustedError("the queue is full"));
  }
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(caller_.calls.size(), 5u);

  sink_ = FakeSink();
  caller_.calls.clear();
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

TEST_F(RequestFlowTest, TakesIdsOfAPaddedEmbedding) {
  AddNode("d1");
  environment_.vocab_size = static_cast<uint32_t>(tokenizer_->vocab_size()) + 8;
  request_.output_token_ids = true;
  Start();
  SendTokens(0, 0, {environment_.vocab_size - 1});
  EXPECT_EQ(caller_.calls.size(), 1u);
  EXPECT_EQ(sink_.Text(), "\xEF\xBF\xBD");
  SendTokens(0, 1, {environment_.vocab_size});
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(sink_.First().token_ids_size(), 1);
}

TEST_F(RequestFlowTest, FullNodesAreNoNodeLossAndAnswerAtOnce) {
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

TEST_F(RequestFlowTest, ANodeThatRestartsIsANewOne) {
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

TEST_F(RequestFlowTest, CallThatEndsWithoutAReasonIsAFailure) {
  AddNode("d1");
  Start();
  SendTokens(0, 0, {30});
  EndCall(0, absl::OkStatus());
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kInternal);
}

// Whatever nodes do (die anywhere, repeat, leave out), the client gets the answer's tokens once and in order.
TEST_F(RequestFlowTest, RandomFailuresNeverChangeTheAnswer) {
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

TEST_F(RequestFlowTest, AChoiceIsMadeOnceAndGivenToEveryOtherCall) {
  AddNode("d1");
  AddNode("d2");
  AddNode("d3");
  request_.chooses = true;
  request_.n = 3;
  request_.pinned = {{1, 2}};
  request_.turn_begin = 1;
  request_.output_prompt_pieces = true;
  Start();
  ASSERT_EQ(caller_.calls.size(), 1u);  // the others wait for its choice
  EXPECT_FALSE(caller_.calls[0]->request.content().has_salient());
  EXPECT_EQ(caller_.calls[0]->request.content().pinned(0).begin(), 1u);
  EXPECT_EQ(caller_.calls[0]->request.content().turn_begin(), 1u);

  EndCall(0, absl::UnavailableError("gone"));  // before it told one: the next call is free to choose
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_FALSE(caller_.calls[1]->request.content().has_salient());
  DecodeResponse message;
  node::v1::PositionRange* chosen = message.mutable_prefilled()->mutable_salient()->add_ranges();
  chosen->set_end(1);
  node::v1::PositionRange* kept = message.mutable_prefilled()->add_kept_ranges();
  kept->set_end(1);
  kept = message.mutable_prefilled()->add_kept_ranges();
  kept->set_begin(2);
  kept->set_end(3);
  caller_.calls[1]->events.on_message(message);
  ASSERT_EQ(caller_.calls.size(), 4u);
  EndCall(1, absl::UnavailableError("gone"));
  ASSERT_EQ(caller_.calls.size(), 5u);
  for (size_t call : {2, 3, 4}) {
    const node::v1::Content& content = caller_.calls[call]->request.content();
    ASSERT_EQ(content.salient().ranges_size(), 1) << call;
    EXPECT_EQ(content.salient().ranges(0).end(), 1u);
  }
  for (size_t call : {2, 3, 4}) {
    SendTokens(call, 0, {30});
    SendFinished(call);
  }
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok()) << *sink_.status;
  ASSERT_EQ(sink_.merged.provenance().kept_ranges_size(), 2);
  ASSERT_EQ(sink_.merged.prompt_pieces_size(), 3);
  EXPECT_TRUE(sink_.merged.prompt_pieces(0).kept());
  EXPECT_FALSE(sink_.merged.prompt_pieces(1).kept());
  EXPECT_EQ(sink_.merged.prompt_pieces(1).text(), tokenizer_->TokenBytes(21));
}

TEST_F(RequestFlowTest, GoesWhereTheTextBeganAndItsAnswerWasWritten) {
  AddNode("d1");
  AddNode("d2");
  AddNode("p1", node::v1::ROLE_PREFILL);
  const uint64_t p2 = AddNode("p2", node::v1::ROLE_PREFILL);
  request_.policy = CanonicalPolicy({.recent = 50});
  request_.prompt_ids = std::vector<uint32_t>(3 * kPrefixBlock, 20);
  request_.n = 2;
  prefixes_.Note(PrefixHashes(request_.policy, request_.prompt_ids), p2);
  Start();
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(caller_.calls[0]->node.node_id, "d1");
  EXPECT_EQ(caller_.calls[1]->node.node_id, "d2") << "a request weighs as much as all rows";
  EXPECT_EQ(caller_.calls[0]->request.prefill_candidates(0).node_id(), "p2");
  SendFinished(0);
  SendTokens(1, 0, std::vector<uint32_t>(kPrefixBlock, 21));
  SendFinished(1);

  request_.prompt_ids.insert(request_.prompt_ids.end(), kPrefixBlock, 21);  // the next turn
  request_.n = 1;
  sink_ = FakeSink();
  Start();
  ASSERT_EQ(caller_.calls.size(), 3u);
  EXPECT_EQ(caller_.calls[2]->node.node_id, "d2");
}

TEST_F(RequestFlowTest, WhereThePromptIsReducedDecodeNodesKeepNothingOfIt) {
  AddNode("d1");
  const uint64_t d2 = AddNode("d2");
  Policy policy{.recent = 50};
  policy.prefill_full = true;
  request_.policy = CanonicalPolicy(policy);
  request_.prompt_ids = std::vector<uint32_t>(3 * kPrefixBlock, 20);
  {
    const NodeRegistry::Assignment busy = registry_.Assign(registry_.Snapshot().nodes[0].registration, 1);
    Start();
  }
  EXPECT_EQ(caller_.calls[0]->node.node_id, "d2");
  EXPECT_TRUE(prefixes_.Find(PrefixHashes(request_.policy, request_.prompt_ids)).empty());
  EXPECT_EQ(registry_.Snapshot().nodes[1].registration, d2);
}

TEST_F(RequestFlowTest, CachedTokensAreThoseThatNoCompletionHadToHaveComputed) {
  AddNode("d1");
  request_.n = 2;
  Start();
  const auto prefilled = [&](size_t call, uint32_t cached) {
    DecodeResponse message;
    message.mutable_prefilled()->set_numerics_class("cpu");
    message.mutable_prefilled()->set_cached_tokens(cached);
    caller_.calls[call]->events.on_message(message);
    SendFinished(call);
  };
  prefilled(0, 2);
  prefilled(1, 1);
  EXPECT_EQ(sink_.messages.back().usage().cached_tokens(), 1u);
}

}  // namespace
}  // namespace kedge
