// A whole router over real gRPC on loopback, with decode nodes that follow a script.
#include "router/router.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/error_reason.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "common/rpc/channel.h"
#include "common/rpc/protocol.h"
#include "common/rpc/registrar.h"
#include "common/rpc/status.h"
#include "common/testing/tiny_model.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"
#include "kedge/inference/v1/inference.grpc.pb.h"
#include "kedge/inference/v1/model.grpc.pb.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {
namespace {

using grpc::StatusCode;
using inference::v1::GenerateRequest;
using inference::v1::GenerateResponse;
using inference::v1::GenerateStreamResponse;
using node::v1::DecodeRequest;
using node::v1::DecodeResponse;

// Of the model that the router of the tests serves.
const std::string& Fingerprint() {
  static const auto* const fingerprint = new std::string([] {
    const std::string bytes = MakeTinyModel({});
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    return *ModelFingerprint(**GgufFile::Parse(absl::MakeConstSpan(data, bytes.size()), "tiny"), "");
  }());
  return *fingerprint;
}

bool Await(const std::function<bool()>& condition) {
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  while (absl::Now() < limit) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return false;
}

// The known answer of a decode node.
class FakeAnswer : public node::v1::KnownAnswerService::Service {
 public:
  explicit FakeAnswer(std::string answer) : answer_(std::move(answer)) {}
  grpc::Status Answer(grpc::ServerContext*, const node::v1::KnownAnswerRequest* request,
                      node::v1::KnownAnswerResponse* response) override {
    EXPECT_EQ(request->ids_size(), 64);
    response->set_hash(answer_);
    return grpc::Status::OK;
  }

 private:
  const std::string answer_;
};

// A decode node whose answers are a script.
class FakeDecodeNode : public node::v1::DecodeService::Service {
 public:
  // Plays one call; runs on a gRPC thread.
  using Writer = grpc::ServerWriter<DecodeResponse>;
  using Script = std::function<grpc::Status(const DecodeRequest&, grpc::ServerContext*, Writer*)>;

  FakeDecodeNode(std::string id, const std::string& router, Script script, const std::string& known_answer = "right")
      : id_(std::move(id)), script_(std::move(script)), known_answer_(known_answer) {
    auto server = RpcServer::Start({.listen = "127.0.0.1:0",
                                    .services = {this, &known_answer_},
                                    .health_services = {kDecodeServiceName},
                                    .max_receive_bytes = 64 << 20});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->SetServing(kDecodeServiceName, true);
    RegistrarOptions options;
    options.routers = {router};
    options.info.set_protocol_version(kProtocolVersion);
    options.info.set_node_id(id_);
    options.info.set_role(node::v1::ROLE_DECODE);
    options.info.set_address(server_->address());
    options.info.set_fingerprint(Fingerprint());
    options.info.set_numerics_class("cpu");
    options.info.set_kv_type("f16");
    options.info.set_row_bytes(100);
    options.info.set_total_rows(1000);
    options.heartbeat = [this] {
      node::v1::Heartbeat heartbeat;
      heartbeat.set_engine_turns(++turns_);
      heartbeat.set_engine_steps(7);
      return heartbeat;
    };
    registrar_ = std::make_unique<Registrar>(std::move(options));
  }
  ~FakeDecodeNode() override { Die(); }

  // As a killed process: connections end at once, and so does the registration.
  void Die() {
    server_->Shutdown(absl::ZeroDuration());
    registrar_ = nullptr;
  }

  grpc::Status Decode(grpc::ServerContext* context, const DecodeRequest* request,
                      grpc::ServerWriter<DecodeResponse>* writer) override {
    ++calls_;
    const grpc::Status status = script_(*request, context, writer);
    if (context->IsCancelled()) ++cancelled_;
    return status;
  }

  int calls() const { return calls_; }
  int cancelled() const { return cancelled_; }

 private:
  const std::string id_;
  const Script script_;
  FakeAnswer known_answer_;
  std::atomic<uint64_t> turns_{0};
  std::atomic<int> calls_{0};
  std::atomic<int> cancelled_{0};
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<Registrar> registrar_;
};

void WaitForCancel(grpc::ServerContext* context) {
  Await([&] { return context->IsCancelled(); });
}

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    const std::string path = testing::TempDir() + "/router_test.gguf";
    EXPECT_TRUE(WriteTinyModel({}, path).ok());
    auto router = Router::Start({.listen = "127.0.0.1:0", .cluster_listen = "127.0.0.1:0", .model_path = path});
    EXPECT_TRUE(router.ok()) << router.status();
    router_ = *std::move(router);
    channel_ = NewChannel(router_->address());
    cluster_channel_ = NewChannel(router_->cluster_address());
    stub_ = inference::v1::InferenceService::NewStub(channel_);
  }

  void AwaitReady(size_t nodes) {
    auto cluster = inference::v1::ClusterService::NewStub(cluster_channel_);
    EXPECT_TRUE(Await([&] {
      grpc::ClientContext context;
      inference::v1::ListNodesResponse response;
      EXPECT_TRUE(cluster->ListNodes(&context, {}, &response).ok());
      return static_cast<size_t>(std::count_if(response.nodes().begin(), response.nodes().end(),
                                               [](const auto& node) { return node.ready(); })) == nodes;
    }));
  }

  // A node that fits the cluster of this test, were it there.
  static node::v1::NodeInfo Stranger(const std::string& address) {
    node::v1::NodeInfo info;
    info.set_protocol_version(kProtocolVersion);
    info.set_node_id("d2");
    info.set_role(node::v1::ROLE_DECODE);
    info.set_address(address);
    info.set_fingerprint(Fingerprint());
    info.set_numerics_class("cpu");
    info.set_kv_type("f16");
    info.set_row_bytes(100);
    return info;
  }
  // How a registration ends that says no more than this: OK once it was taken in.
  static grpc::Status RegisterAt(const std::shared_ptr<grpc::Channel>& channel, const node::v1::NodeInfo& info) {
    auto registry = node::v1::RegistryService::NewStub(channel);
    grpc::ClientContext context;
    auto stream = registry->Register(&context);
    node::v1::RegisterRequest request;
    *request.mutable_info() = info;
    stream->Write(request);
    node::v1::RegisterResponse response;
    if (stream->Read(&response)) stream->WritesDone();
    return stream->Finish();
  }
  grpc::Status Register(const node::v1::NodeInfo& info) const { return RegisterAt(cluster_channel_, info); }

  std::vector<uint32_t> Ids(const std::string& text) const { return *router_->model().tokenizer->Encode(text); }

  // The answer "one two three", a token at a time, from where the call begins.
  FakeDecodeNode::Script Answer(const std::string& prefill_node = "p1") const {
    const std::vector<uint32_t> answer = Ids("one two three");
    return [answer, prefill_node](const DecodeRequest& request, grpc::ServerContext*,
                                  grpc::ServerWriter<DecodeResponse>* writer) {
      DecodeResponse first;
      first.mutable_prefilled()->set_prefill_node(prefill_node);
      first.mutable_prefilled()->set_kept_rows(3);
      first.mutable_prefilled()->set_row_bytes(100);
      first.mutable_prefilled()->set_segment_bytes(350);
      first.mutable_prefilled()->set_numerics_class("cpu");
      first.mutable_prefilled()->mutable_salient();  // the default policy wants a choice
      writer->Write(first);
      for (size_t i = static_cast<size_t>(request.content().ids_size()) - request.content().prompt_length();
           i < answer.size(); ++i) {
        DecodeResponse message;
        message.set_first_index(static_cast<uint32_t>(i));
        message.add_tokens()->set_id(answer[i]);
        writer->Write(message);
      }
      DecodeResponse last;
      last.mutable_finished()->set_reason(node::v1::END_REASON_END_ID);
      last.mutable_finished()->set_end_id(2);
      writer->Write(last);
      return grpc::Status::OK;
    };
  }

  static GenerateRequest Request(const std::string& text = "Hello.") {
    GenerateRequest request;
    request.set_text(text);
    return request;
  }

  static std::string Trailing(const grpc::ClientContext& context, const std::string& key) {
    const auto found = context.GetServerTrailingMetadata().find(key);
    return found == context.GetServerTrailingMetadata().end() ? ""
                                                              : std::string(found->second.data(), found->second.size());
  }
  static std::string Initial(const grpc::ClientContext& context, const std::string& key) {
    const auto found = context.GetServerInitialMetadata().find(key);
    return found == context.GetServerInitialMetadata().end() ? ""
                                                             : std::string(found->second.data(), found->second.size());
  }

  // Reads a whole stream; returns its text.
  grpc::Status Stream(grpc::ClientContext* context, const GenerateRequest& request, std::string* text,
                      GenerateStreamResponse* last = nullptr) {
    auto reader = stub_->GenerateStream(context, request);
    GenerateStreamResponse message;
    while (reader->Read(&message)) {
      for (const auto& completion : message.completions()) *text += completion.text();
      if (last != nullptr) *last = message;
    }
    return reader->Finish();
  }

  std::unique_ptr<Router> router_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<grpc::Channel> cluster_channel_;
  std::unique_ptr<inference::v1::InferenceService::Stub> stub_;
};

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
  EXPECT_EQ(last.provenance().policy(), router_->model().default_policy);
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

TEST_F(RouterTest, ShowsNodesAndModel) {
  FakeDecodeNode node("d1", router_->cluster_address(), Answer());
  AwaitReady(1);
  {
    grpc::ClientContext context;
    inference::v1::ListNodesResponse response;
    ASSERT_TRUE(inference::v1::ClusterService::NewStub(cluster_channel_)->ListNodes(&context, {}, &response).ok());
    EXPECT_EQ(response.nodes(0).node_id(), "d1");
    EXPECT_EQ(response.nodes(0).role(), inference::v1::NODE_ROLE_DECODE);
    EXPECT_TRUE(response.nodes(0).ready());
    EXPECT_EQ(response.nodes(0).total_rows(), 1000u);
  }
  auto models = inference::v1::ModelService::NewStub(channel_);
  {
    grpc::ClientContext context;
    inference::v1::ListModelsResponse response;
    ASSERT_TRUE(models->ListModels(&context, {}, &response).ok());
    EXPECT_EQ(response.models(0), "tiny-1");
  }
  {
    grpc::ClientContext context;
    inference::v1::GetModelInfoResponse response;
    ASSERT_TRUE(models->GetModelInfo(&context, {}, &response).ok());
    EXPECT_EQ(response.fingerprint(), Fingerprint());
    EXPECT_EQ(response.context_length(), 512u);
    EXPECT_EQ(response.vocab_size(), static_cast<uint32_t>(kTinyVocabularySize));
    EXPECT_EQ(response.chat_template(), router_->model().chat_template->source());
    EXPECT_NE(response.chat_template().find("<|im_start|>"), std::string::npos);
    EXPECT_EQ(response.chat_template_error(), "");
    EXPECT_EQ(response.default_policy(), router_->model().default_policy);
    EXPECT_EQ(response.default_max_tokens(), 256u);
    EXPECT_GT(response.end_token_ids_size(), 0);
  }
  inference::v1::TokenizeResponse tokens;
  {
    grpc::ClientContext context;
    inference::v1::TokenizeRequest request;
    request.set_text("caf\xC3\xA9");
    ASSERT_TRUE(models->Tokenize(&context, request, &tokens).ok());
    EXPECT_GT(tokens.token_ids_size(), 0);
  }
  {
    grpc::ClientContext context;
    inference::v1::DetokenizeRequest request;
    *request.mutable_token_ids() = tokens.token_ids();
    inference::v1::DetokenizeResponse response;
    ASSERT_TRUE(models->Detokenize(&context, request, &response).ok());
    EXPECT_EQ(response.text(), "caf\xC3\xA9");
  }
  {
    grpc::ClientContext context;
    inference::v1::DetokenizeRequest request;
    request.add_token_ids(kTinyVocabularySize);
    inference::v1::DetokenizeResponse response;
    const grpc::Status status = models->Detokenize(&context, request, &response);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message().substr(0, 13), "token_ids[0]:");
  }
}

TEST_F(RouterTest, HealthFollowsTheDecodeNodes) {
  auto health = grpc::health::v1::Health::NewStub(channel_);
  const auto serving = [&](const std::string& service) {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    EXPECT_TRUE(health->Check(&context, request, &response).ok());
    return response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  };
  EXPECT_TRUE(serving(""));
  EXPECT_FALSE(serving(kInferenceServiceName));
  {
    FakeDecodeNode node("d1", router_->cluster_address(), Answer());
    EXPECT_TRUE(Await([&] { return serving(kInferenceServiceName); }));
  }
  EXPECT_TRUE(Await([&] { return !serving(kInferenceServiceName); }));
}

TEST_F(RouterTest, RefusesANodeOfAnotherModelAndNamesTheSetting) {
  FakeDecodeNode node("d1", router_->cluster_address(), Answer());
  AwaitReady(1);
  node::v1::NodeInfo info = Stranger("127.0.0.1:1");
  info.set_fingerprint("another");
  const grpc::Status status = Register(info);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(),
            "fingerprint of model and adapter: the node's is another, the cluster's is " + Fingerprint());
}

TEST_F(RouterTest, ANodeThatComputesSomethingElseIsNotUsed) {
  FakeDecodeNode first("d1", router_->cluster_address(), Answer());
  AwaitReady(1);
  FakeDecodeNode second("d2", router_->cluster_address(), Answer());
  AwaitReady(2);
  FakeDecodeNode odd("d3", router_->cluster_address(), Answer(), "wrong");
  auto cluster = inference::v1::ClusterService::NewStub(cluster_channel_);
  EXPECT_TRUE(Await([&] {
    grpc::ClientContext context;
    inference::v1::ListNodesResponse response;
    EXPECT_TRUE(cluster->ListNodes(&context, {}, &response).ok());
    return response.nodes_size() == 3 && !response.nodes(2).ready() &&
           response.nodes(2).out() == "its answer to 64 random ids is not that of d1, d2";
  }));
  AwaitReady(2);
}

TEST_F(RouterTest, RefusesAddressesThatItCannotTrust) {
  for (const char* address : {"10.0.0.1:1", "unix:/run/socket", "unix:1", "dns:///127.0.0.1:1", "x"}) {
    const grpc::Status status = Register(Stranger(address));
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << address;
    EXPECT_EQ(status.error_message().find("address: "), 0u) << status.error_message();
  }
}

TEST_F(RouterTest, CallsANodeBackBeforeItCounts) {
  // Nobody there; another server; a node of another role; a node that is not ready yet.
  EXPECT_EQ(Register(Stranger("127.0.0.1:1")).error_code(), StatusCode::UNAVAILABLE);
  const grpc::Status own = Register(Stranger(router_->address()));
  EXPECT_EQ(own.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_NE(own.error_message().find("called back at " + router_->address()), std::string::npos) << own.error_message();
  node::v1::DecodeService::Service service;
  const auto server = RpcServer::Start({.listen = "127.0.0.1:0",
                                        .services = {&service},
                                        .health_services = {kDecodeServiceName}})
                          .value();
  node::v1::NodeInfo info = Stranger(server->address());
  EXPECT_NE(Register(info).error_message().find("does not serve"), std::string::npos);
  server->SetServing(kDecodeServiceName, true);
  info.set_role(node::v1::ROLE_PREFILL);
  EXPECT_EQ(Register(info).error_code(), StatusCode::UNAVAILABLE);
  info.set_role(node::v1::ROLE_DECODE);
  EXPECT_TRUE(Register(info).ok());
}

TEST_F(RouterTest, ClientsHaveNoDoorToTheCluster) {
  grpc::ClientContext listing;
  inference::v1::ListNodesResponse response;
  EXPECT_EQ(inference::v1::ClusterService::NewStub(channel_)->ListNodes(&listing, {}, &response).error_code(),
            StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(RegisterAt(channel_, Stranger("127.0.0.1:1")).error_code(), StatusCode::UNIMPLEMENTED);
  grpc::ClientContext generating;
  GenerateResponse answer;
  EXPECT_EQ(inference::v1::InferenceService::NewStub(cluster_channel_)->Generate(&generating, {}, &answer).error_code(),
            StatusCode::UNIMPLEMENTED);
}

TEST(RouterStartTest, TheClusterListenerIsLoopbackOrHasCertificates) {
  const std::string path = testing::TempDir() + "/router_start_test.gguf";
  ASSERT_TRUE(WriteTinyModel({}, path).ok());
  const absl::Status status =
      Router::Start({.listen = "127.0.0.1:0", .cluster_listen = "0.0.0.0:0", .model_path = path}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find("--cluster-listen: 0.0.0.0:0 can be reached from outside"), 0u) << status;
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
