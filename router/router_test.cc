// What clients get of a router.
#include "router/router.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/error_reason.h"
#include "common/rpc/status.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "kedge/inference/v1/model.grpc.pb.h"
#include "router/router_testing.h"

namespace kedge {
namespace {

using grpc::StatusCode;
using inference::v1::GenerateRequest;
using inference::v1::GenerateResponse;
using inference::v1::GenerateStreamResponse;
using node::v1::DecodeRequest;
using node::v1::DecodeResponse;

TEST_F(RouterTest, StreamsTextAndNamesTheRequestAndTheNodes) {
  FakeDecodeNode node("d1", router_->cluster_address(), Answer());
  AwaitReady(1);
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "mine");
  std::string text;
  GenerateStreamResponse last;
  const grpc::Status status = Stream(&context, Request(), &text, &last);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(text, "one two three");
  EXPECT_EQ(last.request_id(), "mine");
  EXPECT_EQ(last.completions(0).finish_reason(), inference::v1::FINISH_REASON_STOP);
  EXPECT_EQ(last.usage().prompt_tokens(), Ids("Hello.").size());
  EXPECT_EQ(last.usage().completion_tokens(), Ids("one two three").size());
  EXPECT_EQ(last.usage().kept_rows(), 3u);
  EXPECT_EQ(last.usage().segment_bytes(), 350u);
  EXPECT_EQ(last.usage().full_bytes(), 100 * Ids("Hello.").size());
  EXPECT_TRUE(last.has_timings());
  EXPECT_EQ(last.provenance().policy(), router_->model().readable_default_policy);
  EXPECT_EQ(Initial(context, "x-request-id"), "mine");
  EXPECT_EQ(Trailing(context, "kedge-decode-node"), "d1");
  EXPECT_EQ(Trailing(context, "kedge-prefill-node"), "p1");
}

TEST_F(RouterTest, GeneratesWholeAnswersWithSeveralCompletions) {
  FakeDecodeNode node("d1", router_->cluster_address(), Answer());
  AwaitReady(1);
  grpc::ClientContext context;
  GenerateRequest request = Request();
  request.mutable_sampling_params()->set_n(3);
  request.mutable_sampling_params()->set_seed(UINT64_MAX);
  request.mutable_output_options()->set_token_ids(true);
  GenerateResponse response;
  const grpc::Status status = stub_->Generate(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.completions_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(response.completions(i).index(), static_cast<uint32_t>(i));
    EXPECT_EQ(response.completions(i).text(), "one two three");
    EXPECT_EQ(response.completions(i).token_ids_size(), static_cast<int>(Ids("one two three").size()));
  }
  EXPECT_EQ(response.model(), "tiny-1");
  EXPECT_EQ(response.provenance().seed(), UINT64_MAX);
  EXPECT_EQ(response.usage().segment_bytes(), 3 * 350u);
  EXPECT_EQ(response.request_id().size(), 36u);
  EXPECT_EQ(Initial(context, "x-request-id"), response.request_id());
  EXPECT_EQ(Trailing(context, "kedge-decode-node"), "d1");
  EXPECT_EQ(node.calls(), 3);
}

TEST_F(RouterTest, GoesOnWhenADecodeNodeDiesInTheMiddleOfAnAnswer) {
  const std::vector<uint32_t> answer = Ids("one two three");
  std::atomic<bool> sent{false};
  // Sends two tokens, then hangs until it is killed.
  FakeDecodeNode first("d1", router_->cluster_address(),
                       [&](const DecodeRequest&, grpc::ServerContext* context, auto* writer) {
    DecodeResponse message;
    message.add_tokens()->set_id(answer[0]);
    message.add_tokens()->set_id(answer[1]);
    writer->Write(message);
    sent = true;
    WaitForCancel(context);
    return grpc::Status(StatusCode::CANCELLED, "");
  });
  FakeDecodeNode second("d2", router_->cluster_address(), Answer());
  AwaitReady(2);
  grpc::ClientContext context;
  std::string text;
  GenerateStreamResponse last;
  std::thread killer([&] {
    EXPECT_TRUE(Await([&] { return sent.load(); }));
    first.Die();
  });
  const grpc::Status status = Stream(&context, Request(), &text, &last);
  killer.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(text, "one two three");
  EXPECT_EQ(last.provenance().failovers(), 1u);
  EXPECT_EQ(Trailing(context, "kedge-decode-node"), "d1,d2");
}

TEST_F(RouterTest, LossOfTheOnlyNodeIsUnavailable) {
  FakeDecodeNode node("d1", router_->cluster_address(), [](const DecodeRequest&, grpc::ServerContext*, auto*) {
    return grpc::Status(StatusCode::UNAVAILABLE, "draining");
  });
  AwaitReady(1);
  grpc::ClientContext context;
  std::string text;
  const grpc::Status status = Stream(&context, Request(), &text);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "decode node d1: draining");
}

TEST_F(RouterTest, CancellationReachesTheNode) {
  FakeDecodeNode node("d1", router_->cluster_address(),
                       [&](const DecodeRequest&, grpc::ServerContext* context, auto* writer) {
    DecodeResponse message;
    message.add_tokens()->set_id(20);
    writer->Write(message);
    WaitForCancel(context);
    return grpc::Status::OK;
  });
  AwaitReady(1);
  grpc::ClientContext context;
  auto reader = stub_->GenerateStream(&context, Request());
  GenerateStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  const absl::Time start = absl::Now();
  context.TryCancel();
  EXPECT_TRUE(Await([&] { return node.cancelled() == 1; }));
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
}

TEST_F(RouterTest, StopStringEndsTheNodesCall) {
  FakeDecodeNode node("d1", router_->cluster_address(),
                       [&](const DecodeRequest&, grpc::ServerContext* context, auto* writer) {
    DecodeResponse message;
    for (const uint32_t id : Ids("one two")) message.add_tokens()->set_id(id);
    writer->Write(message);
    WaitForCancel(context);
    return grpc::Status::OK;
  });
  AwaitReady(1);
  grpc::ClientContext context;
  GenerateRequest request = Request();
  request.mutable_sampling_params()->add_stop("e tw");
  GenerateResponse response;
  ASSERT_TRUE(stub_->Generate(&context, request, &response).ok());
  EXPECT_EQ(response.completions(0).text(), "on");
  EXPECT_EQ(response.completions(0).matched_stop_str(), "e tw");
  EXPECT_TRUE(Await([&] { return node.cancelled() == 1; }));
}

TEST_F(RouterTest, DeadlineTravelsToTheNode) {
  std::atomic<int64_t> left_ms{-1};
  FakeDecodeNode node("d1", router_->cluster_address(), [&](const DecodeRequest&, grpc::ServerContext* context, auto*) {
    left_ms = absl::ToInt64Milliseconds(absl::FromChrono(context->deadline()) - absl::Now());
    WaitForCancel(context);
    return grpc::Status::OK;
  });
  AwaitReady(1);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(400)));
  GenerateResponse response;
  const absl::Time start = absl::Now();
  EXPECT_EQ(stub_->Generate(&context, Request(), &response).error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  EXPECT_TRUE(Await([&] { return node.cancelled() == 1; }));
  EXPECT_LE(left_ms, 500);  // gRPC rounds timeouts up
  EXPECT_GE(left_ms, 0);
}

TEST_F(RouterTest, WaitsForANodeAndThenIsUnavailable) {
  grpc::ClientContext context;
  std::string text;
  const absl::Time start = absl::Now();
  const grpc::Status status = Stream(&context, Request(), &text);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_GE(absl::Now() - start, absl::Seconds(2));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(RouterTest, AnswersBadInputWithAStatusAndGoesOn) {
  FakeDecodeNode node("d1", router_->cluster_address(), Answer());
  AwaitReady(1);
  const auto expect = [&](const GenerateRequest& request, StatusCode code, const std::string& begin) {
    grpc::ClientContext stream_context;
    std::string text;
    const grpc::Status streamed = Stream(&stream_context, request, &text);
    grpc::ClientContext unary_context;
    GenerateResponse response;
    const grpc::Status unary = stub_->Generate(&unary_context, request, &response);
    for (const grpc::Status& status : {streamed, unary}) {
      EXPECT_EQ(status.error_code(), code) << status.error_message();
      EXPECT_EQ(status.error_message().substr(0, begin.size()), begin);
    }
    if (begin.empty()) return;  // refused before any code of ours
    EXPECT_EQ(Initial(stream_context, "x-request-id").size(), 36u);
    EXPECT_EQ(Initial(unary_context, "x-request-id").size(), 36u);
  };
  expect(GenerateRequest(), StatusCode::INVALID_ARGUMENT, "prompt:");
  GenerateRequest request = Request();
  request.mutable_sampling_params()->set_temperature(-1);
  expect(request, StatusCode::INVALID_ARGUMENT, "sampling_params.temperature:");
  request = Request();
  request.set_model("no such model");
  expect(request, StatusCode::NOT_FOUND, "model:");
  request = Request();
  request.mutable_cache_options()->set_policy("window,foo=1");
  expect(request, StatusCode::INVALID_ARGUMENT, "cache_options.policy:");
  expect(Request(std::string(10000, 'x')), StatusCode::INVALID_ARGUMENT, "text: has ");

  // 100 MB are refused by the library, before any code of ours.
  expect(Request(std::string(100'000'000, 'x')), StatusCode::RESOURCE_EXHAUSTED, "");

  // Text that is not UTF-8, as a client without checks would send it: field 3, two bytes.
  {
    grpc::GenericStub generic(channel_);
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    grpc::Slice slice(std::string("\x1A\x02\xC3\x28", 4));
    grpc::ByteBuffer buffer(&slice, 1);
    auto call = generic.PrepareUnaryCall(&context, "/kedge.inference.v1.InferenceService/Generate", buffer, &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, &queue);
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message(), "the request is not a GenerateRequest, or a string in it is not UTF-8");
  }

  grpc::ClientContext context;
  GenerateResponse response;
  EXPECT_TRUE(stub_->Generate(&context, Request(), &response).ok());
  EXPECT_EQ(response.completions(0).text(), "one two three");
}

TEST_F(RouterTest, DrainLetsLiveRequestsEndAndRefusesNewOnes) {
  std::atomic<bool> go{false};
  FakeDecodeNode node("d1", router_->cluster_address(),
                      [&](const DecodeRequest& request, grpc::ServerContext* context, auto* writer) {
                        Await([&] { return go.load(); });
                        return Answer()(request, context, writer);
                      });
  AwaitReady(1);
  std::string text;
  grpc::Status live_status;
  std::thread live([&] {
    grpc::ClientContext context;
    live_status = Stream(&context, Request(), &text);
  });
  EXPECT_TRUE(Await([&] { return node.calls() == 1; }));
  std::thread drain([&] { router_->Drain(absl::Seconds(10)); });
  EXPECT_TRUE(Await([&] {
    grpc::ClientContext context;
    GenerateResponse response;
    GenerateRequest wrong;  // answered at once whether or not the drain has begun
    return stub_->Generate(&context, wrong, &response).error_code() == StatusCode::UNAVAILABLE;
  }));
  go = true;
  live.join();
  drain.join();
  EXPECT_TRUE(live_status.ok()) << live_status.error_message();
  EXPECT_EQ(text, "one two three");
}

TEST_F(RouterTest, DrainEndsWhatTakesLongerAndSaysWhy) {
  std::atomic<bool> go{false};
  FakeDecodeNode node("d1", router_->cluster_address(),
                      [&](const DecodeRequest& request, grpc::ServerContext* context, auto* writer) {
                        Await([&] { return go.load(); });
                        return Answer()(request, context, writer);
                      });
  AwaitReady(1);
  grpc::Status stream_status, unary_status;
  std::thread streaming([&] {
    grpc::ClientContext context;
    std::string text;
    stream_status = Stream(&context, Request(), &text);
  });
  std::thread waiting([&] {
    grpc::ClientContext context;
    GenerateResponse response;
    unary_status = stub_->Generate(&context, Request(), &response);
  });
  EXPECT_TRUE(Await([&] { return node.calls() == 2; }));
  const absl::Time start = absl::Now();
  router_->Drain(absl::Milliseconds(100));
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
  streaming.join();
  waiting.join();
  go = true;
  for (const grpc::Status& status : {stream_status, unary_status}) {
    EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
    EXPECT_EQ(status.error_message(), "the router is shutting down, and has ended this answer before it was complete");
  }
}

TEST_F(RouterTest, ErrorsSayWhyAndWhichFieldAndWhenToTryAgain) {
  grpc::ClientContext context;
  GenerateResponse response;
  GenerateRequest request = Request();
  request.mutable_sampling_params()->add_stop("");
  const absl::Status wrong = FromGrpcStatus(stub_->Generate(&context, request, &response));
  EXPECT_EQ(ReasonOf(wrong), "INVALID_FIELD");
  EXPECT_EQ(FieldOf(wrong), "sampling_params.stop[0]");
  EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 0u);

  grpc::ClientContext stream_context;
  std::string text;
  const absl::Status no_node = FromGrpcStatus(Stream(&stream_context, Request(), &text));
  EXPECT_EQ(ReasonOf(no_node), kNoNode);
  EXPECT_EQ(RetryAfter(no_node), absl::Seconds(1));
  const auto push_back = stream_context.GetServerTrailingMetadata().find("grpc-retry-pushback-ms");
  ASSERT_NE(push_back, stream_context.GetServerTrailingMetadata().end());
  EXPECT_EQ(push_back->second, "1000");
}

TEST_F(RouterTest, WhatIsTooMuchIsRefusedBeforeItIsRead) {
  const auto refusal = [&](const GenerateRequest& request) {
    grpc::ClientContext context;
    GenerateResponse response;
    const absl::Status status = FromGrpcStatus(stub_->Generate(&context, request, &response));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(FieldOf(status), "");
    return std::string(status.message());
  };
  GenerateRequest request;
  for (int i = 0; i < 20'000; ++i) request.mutable_messages()->add_messages();
  EXPECT_EQ(refusal(request), "messages.messages: has more than 16384 elements");
  for (int i = 0; i < 513; ++i) request.mutable_token_ids()->add_ids(1);
  EXPECT_EQ(refusal(request), "token_ids.ids: has more than 512 elements");
  request = Request();
  request.mutable_sampling_params()->add_stop(std::string(1025, 'x'));
  EXPECT_EQ(refusal(request), "sampling_params.stop[0]: has 1025 bytes; at most 1024 are allowed");

  auto models = inference::v1::ModelService::NewStub(channel_);
  inference::v1::DetokenizeRequest detokenize;
  const Tokenizer& tokenizer = *router_->model().tokenizer;
  uint32_t longest = 0;
  for (uint32_t id = 0; id < static_cast<uint32_t>(tokenizer.vocab_size()); ++id) {
    if (tokenizer.TokenBytes(id).size() > tokenizer.TokenBytes(longest).size()) longest = id;
  }
  detokenize.set_skip_special_tokens(false);
  detokenize.mutable_token_ids()->Resize(1 << 18, longest);
  for (const std::string expected : {"token_ids: up to token_ids[", "token_ids: has more than 262144 elements"}) {
    grpc::ClientContext context;
    inference::v1::DetokenizeResponse text;
    const grpc::Status status = models->Detokenize(&context, detokenize, &text);
    EXPECT_EQ(status.error_message().substr(0, expected.size()), expected);
    detokenize.add_token_ids(1);
  }
}

TEST_F(RouterTest, RefusesWhatDoesNotFitTheMemoryForRequests) {
  auto small = Router::Start(
      {.listen = "127.0.0.1:0", .model_path = testing::TempDir() + "/router_test.gguf", .request_memory = 1'000'000});
  ASSERT_TRUE(small.ok()) << small.status();
  auto models = inference::v1::ModelService::NewStub(NewChannel((*small)->address()));
  for (const size_t size : {70'000, 90'000, 810'000}) {
    grpc::ClientContext context;
    inference::v1::TokenizeRequest request;
    request.set_text(std::string(size, 'x'));
    inference::v1::TokenizeResponse response;
    const absl::Status status = FromGrpcStatus(models->Tokenize(&context, request, &response));
    if (size < 80'000) {
      EXPECT_TRUE(status.ok()) << status;  // and what it held is free again
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_EQ(ReasonOf(status), kMemoryFull);
      EXPECT_TRUE(RetryAfter(status).has_value());
    }
  }
}

TEST_F(RouterTest, ManyClientsAtOnceGetWholeAnswers) {
  FakeDecodeNode first("d1", router_->cluster_address(), Answer());
  FakeDecodeNode second("d2", router_->cluster_address(), Answer());
  AwaitReady(2);
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        grpc::ClientContext context;
        std::string text;
        if (Stream(&context, Request(), &text).ok() && text == "one two three") ++good;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 80);
  EXPECT_GT(first.calls(), 0);
  EXPECT_GT(second.calls(), 0);
}

}  // namespace
}  // namespace kedge
