#include "router/request_flow.h"

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/anchor/policy.h"
#include "common/base/error_reason.h"
#include "gtest/gtest.h"
#include "router/request_flow_testing.h"

namespace kedge {
namespace {

using inference::v1::GenerateStreamResponse;
using node::v1::DecodeRequest;
using node::v1::DecodeResponse;

TEST_F(RequestFlowTest, SendsTheWholeRequestToADecodeNode) {
  AddNode("d1");
  AddNode("p1", node::v1::ROLE_PREFILL);
  AddNode("p2", node::v1::ROLE_PREFILL);
  request_.no_anchor_positions = {1, 2};
  request_.sequence_ends = {0, 2};
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
  EXPECT_EQ(absl::StrJoin(sent.content().sequence_ends(), ","), "0,2");
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
  EXPECT_EQ(last.provenance().policy(), "readable");
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
  EXPECT_EQ(*sink_.status,
            Refusal(absl::UnavailableError("no decode node is ready"), kNoNode, absl::Seconds(1)));

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

TEST_F(RequestFlowTest, AChoiceIsMadeOnceAndGivenToEveryOtherCall) {
  AddNode("d1");
  AddNode("d2");
  AddNode("d3");
  request_.chooses = true;
  request_.n = 3;
  request_.pinned = {{1, 2}};
  request_.turn_begin = 1;
  request_.user = {{1, 3}};
  request_.system = {{0, 1}};
  request_.question_marks = {2};
  request_.output_prompt_pieces = true;
  Start();
  ASSERT_EQ(caller_.calls.size(), 1u);  // the others wait for its choice
  EXPECT_FALSE(caller_.calls[0]->request.content().has_salient());
  EXPECT_EQ(caller_.calls[0]->request.content().pinned(0).begin(), 1u);
  EXPECT_EQ(caller_.calls[0]->request.content().turn_begin(), 1u);
  EXPECT_EQ(caller_.calls[0]->request.content().user(0).end(), 3u);
  EXPECT_EQ(caller_.calls[0]->request.content().system(0).end(), 1u);
  EXPECT_EQ(caller_.calls[0]->request.content().question_marks(0), 2u);

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
  prefixes_.Note(PrefixHashes(request_.policy, request_.cache_domain, request_.prompt_ids), p2);
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

// Its rows were sent to that node, those of the answer serve nobody.
TEST_F(RequestFlowTest, AReducedPromptComesBackToTheNodeThatWasSentIt) {
  AddNode("d1");
  const uint64_t d2 = AddNode("d2");
  Policy policy{.recent = 50};
  policy.prefill_full = true;
  request_.policy = CanonicalPolicy(policy);
  request_.prompt_ids = std::vector<uint32_t>(3 * kPrefixBlock, 20);
  request_.max_tokens = 3 * kPrefixBlock;
  {
    const NodeRegistry::Assignment busy = registry_.Assign(registry_.Snapshot().nodes[0].registration, 1);
    Start();
  }
  EXPECT_EQ(caller_.calls[0]->node.node_id, "d2");
  DecodeResponse message;
  message.mutable_prefilled()->set_kept_rows(60);
  message.mutable_prefilled()->set_held_rows(35);
  message.mutable_prefilled()->set_adaptive_rows(11);
  caller_.calls[0]->events.on_message(message);
  SendTokens(0, 0, std::vector<uint32_t>(2 * kPrefixBlock, 21));
  SendFinished(0);
  EXPECT_EQ(sink_.messages.back().usage().kept_rows(), 60u);
  EXPECT_EQ(sink_.messages.back().usage().held_rows(), 35u);
  EXPECT_EQ(sink_.messages.back().usage().adaptive_rows(), 11u);

  request_.prompt_ids.insert(request_.prompt_ids.end(), 3 * kPrefixBlock, 21);  // the answer, and the next turn
  const std::vector<HeldPrefix> held =
      prefixes_.Find(PrefixHashes(request_.policy, request_.cache_domain, request_.prompt_ids));
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].registration, d2);
  EXPECT_EQ(held[0].tokens, 3 * kPrefixBlock);
  sink_ = FakeSink();
  Start();
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(caller_.calls[1]->node.node_id, "d2");
}

// The node is told the domain, and no other domain's rows draw a request to a node.
TEST_F(RequestFlowTest, ADomainGoesWithTheRequestAndIsAPlaceOfItsOwn) {
  AddNode("d1");
  const uint64_t d2 = AddNode("d2");
  request_.policy = CanonicalPolicy({.recent = 50});
  request_.prompt_ids = std::vector<uint32_t>(3 * kPrefixBlock, 20);
  request_.cache_domain = "domain";
  prefixes_.Note(PrefixHashes(request_.policy, "another", request_.prompt_ids), d2);
  Start();
  ASSERT_EQ(caller_.calls.size(), 1u);
  EXPECT_EQ(caller_.calls[0]->node.node_id, "d1");
  EXPECT_EQ(caller_.calls[0]->request.content().cache_domain(), "domain");
  SendFinished(0);
  // Where its own rows are: d1 has them by now, and is busy.
  const NodeRegistry::Assignment busy = registry_.Assign(registry_.Snapshot().nodes[0].registration, 1);
  request_.cache_domain = "another";
  sink_ = FakeSink();
  Start();
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(caller_.calls[1]->node.node_id, "d2");
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

// The calls that wait for a choice can't be made when it comes too late: the flow ends within the message that tells
// it.
TEST_F(RequestFlowTest, AChoiceThatComesAfterTheDeadlineEndsTheRequest) {
  AddNode("d1");
  request_.chooses = true;
  request_.n = 2;
  Start(clock_.Now() + absl::Seconds(5));
  ASSERT_EQ(caller_.calls.size(), 1u);
  clock_.Advance(absl::Seconds(6));
  DecodeResponse message = TokensMessage(0, {30});
  message.mutable_prefilled()->mutable_salient();
  caller_.calls[0]->events.on_message(message);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(RequestFlowTest, AnAnswerThatNeededNoChoiceHoldsNobodyUp) {
  AddNode("d1");
  request_.chooses = true;
  request_.n = 2;
  Start();
  SendFinished(0, node::v1::END_REASON_LENGTH);
  ASSERT_EQ(caller_.calls.size(), 2u);
  SendFinished(1, node::v1::END_REASON_LENGTH);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_TRUE(sink_.status->ok()) << *sink_.status;
}

// What a node says of itself becomes metadata, which gRPC ends the process for if it is malformed.
TEST_F(RequestFlowTest, NamesThatAreNoneGoNoFurther) {
  AddNode("d1");
  Start();
  DecodeResponse message;
  message.mutable_prefilled()->set_prefill_node("p\n1");
  caller_.calls[0]->events.on_message(message);
  ASSERT_TRUE(sink_.status.has_value());
  EXPECT_EQ(sink_.status->code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(sink_.served_by.prefill_nodes.empty());
}

}  // namespace
}  // namespace kedge
