// A router made of canned messages, over real gRPC on loopback.
#include "cli/client.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/chat_proto.h"
#include "cli/generate_flow.h"
#include "common/rpc/signals.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"
#include "kedge/inference/v1/inference.grpc.pb.h"
#include "kedge/inference/v1/model.grpc.pb.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

namespace v1 = ::kedge::inference::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakeInference : public v1::InferenceService::Service {
 public:
  grpc::Status GenerateStream(grpc::ServerContext* context, const v1::GenerateRequest* request,
                              grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override {
    seen = *request;
    if (!failure.ok()) return failure;
    v1::GenerateStreamResponse first;
    first.mutable_usage()->set_prompt_tokens(9);
    AddToken("An an", 11, -0.5f, &first);
    writer->Write(first);
    if (hangs) {
      reached = true;
      while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
      return grpc::Status(grpc::StatusCode::CANCELLED, "gone");
    }
    v1::GenerateStreamResponse last;
    AddToken("chor.", 12, -0.25f, &last);
    last.mutable_completions(0)->set_finish_reason(v1::FINISH_REASON_STOP);
    last.mutable_completions(0)->set_matched_token_id(2);
    v1::Usage* usage = last.mutable_usage();
    usage->set_prompt_tokens(9);
    usage->set_completion_tokens(2);
    usage->set_kept_rows(8);
    usage->set_adaptive_rows(3);
    usage->set_segment_bytes(1000);
    usage->set_full_bytes(2000);
    last.mutable_provenance()->set_policy("recent=all");
    context->AddTrailingMetadata("kedge-prefill-node", "prefill-0");
    context->AddTrailingMetadata("kedge-decode-node", "decode-0");
    writer->Write(last);
    return grpc::Status::OK;
  }

  static void AddToken(const std::string& text, uint32_t id, float logprob, v1::GenerateStreamResponse* message) {
    v1::Completion* completion = message->add_completions();
    completion->set_text(text);
    completion->add_token_ids(id);
    v1::TokenLogprobs* token = completion->add_logprobs();
    token->set_token_id(id);
    token->set_logprob(logprob);
  }

  v1::GenerateRequest seen;
  grpc::Status failure;
  bool hangs = false;
  std::atomic<bool> reached = false;
};

class FakeModels : public v1::ModelService::Service {
 public:
  grpc::Status GetModelInfo(grpc::ServerContext*, const v1::GetModelInfoRequest*,
                            v1::GetModelInfoResponse* response) override {
    response->set_model("tiny");
    response->set_chat_template(chat_template);
    if (chat_template.empty()) response->set_chat_template_error("tiny.gguf: has no tokenizer.chat_template");
    return grpc::Status::OK;
  }
  std::string chat_template = "chatml";
};

class FakeCluster : public v1::ClusterService::Service {
 public:
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*, v1::ListNodesResponse* response) override {
    v1::Node* node = response->add_nodes();
    node->set_node_id("decode-0");
    node->set_role(v1::NODE_ROLE_DECODE);
    node->set_address("127.0.0.1:7");
    node->set_ready(true);
    node->set_total_rows(100);
    node->set_numerics_class("cpu\x1b[2J\n");
    return grpc::Status::OK;
  }
};

bool Never() { return false; }

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    // gRPC's threads start here, before any StopSignals: they must not take the signal that a test sends.
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
    grpc::EnableDefaultHealthCheckService(true);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&inference_);
    builder.RegisterService(&models_);
    builder.RegisterService(&cluster_);
    server_ = builder.BuildAndStart();
    client_ = std::make_unique<Client>(absl::StrCat("127.0.0.1:", port));
  }

  // Runs GenerateAndPrint and returns what it wrote to stdout.
  std::string Printed(const PromptOptions& prompt, AnswerFormat format, absl::Status* status = nullptr) {
    StopSignals signals;
    testing::internal::CaptureStdout();
    absl::Status result = GenerateAndPrint(prompt, SamplingOptions(), format, client_.get(), &signals);
    if (status != nullptr) *status = result;
    return testing::internal::GetCapturedStdout();
  }

  static PromptOptions TextPrompt(const std::string& text) {
    PromptOptions prompt;
    prompt.prompt = text;
    prompt.source = PromptOptions::Source::kPrompt;
    return prompt;
  }

  FakeInference inference_;
  FakeModels models_;
  FakeCluster cluster_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientTest, GathersTheAnswerFromItsMessages) {
  std::vector<std::string> pieces;
  auto answer = client_->Generate(
      {.prompt = std::string("What?")},
      [&](absl::string_view text) {
        pieces.emplace_back(text);
        return true;
      },
      Never);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(pieces, ElementsAre("An an", "chor."));
  EXPECT_EQ(answer->text, "An anchor.");
  EXPECT_THAT(answer->token_ids, ElementsAre(11, 12));
  EXPECT_THAT(answer->logprobs, ElementsAre(-0.5f, -0.25f));
  EXPECT_EQ(answer->finish_reason, "stop");
  EXPECT_EQ(answer->policy, "recent=all");
  EXPECT_EQ(answer->prompt_tokens, 9u);
  EXPECT_EQ(answer->completion_tokens, 2u);
  EXPECT_EQ(answer->kept_rows, 8u);
  EXPECT_EQ(answer->adaptive_rows, 3u);
  EXPECT_EQ(answer->segment_bytes, 1000u);
  EXPECT_EQ(answer->full_bytes, 2000u);
  EXPECT_EQ(answer->prefill_node, "prefill-0");
  EXPECT_EQ(answer->decode_node, "decode-0");
  EXPECT_GT(answer->first_token, absl::ZeroDuration());
  ASSERT_EQ(answer->token_times.size(), 2u);
  EXPECT_EQ(answer->token_times[0], answer->first_token);
  EXPECT_LE(answer->token_times[0], answer->token_times[1]);
  EXPECT_LE(answer->token_times[1], answer->total);
}

TEST_F(ClientTest, WhatIsUnsetStaysUnset) {
  ASSERT_TRUE(client_
                  ->Generate(
                      {.prompt = std::string("a")}, [](absl::string_view) { return true; }, Never)
                  .ok());
  const v1::SamplingParams& sampling = inference_.seen.sampling_params();
  EXPECT_EQ(inference_.seen.text(), "a");
  EXPECT_TRUE(sampling.has_temperature());
  EXPECT_EQ(sampling.temperature(), 0);
  EXPECT_FALSE(sampling.has_max_tokens() || sampling.has_seed() || sampling.has_top_p() || sampling.has_ignore_eos());
  EXPECT_EQ(inference_.seen.cache_options().policy(), "");
}

TEST_F(ClientTest, EveryOptionArrives) {
  GenerateCall call = {
      .prompt = std::vector<uint32_t>{3, 4}, .policy = "full", .cache_salt = "pepper", .request_id = "r1"};
  call.temperature = 0.5f;
  call.top_p = 0.25f;
  call.top_k = 7;
  call.min_p = 0.125f;
  call.frequency_penalty = 1.0f;
  call.presence_penalty = 1.5f;
  call.repetition_penalty = 2.0f;
  call.max_tokens = 5;
  call.min_tokens = 2;
  call.seed = 18446744073709551615u;
  call.stop = {"x"};
  call.stop_token_ids = {9};
  call.ignore_eos = true;
  ASSERT_TRUE(client_
                  ->Generate(
                      call, [](absl::string_view) { return true; }, Never)
                  .ok());
  v1::GenerateRequest want;
  want.set_request_id("r1");
  want.mutable_token_ids()->add_ids(3);
  want.mutable_token_ids()->add_ids(4);
  want.mutable_cache_options()->set_policy("full");
  want.mutable_cache_options()->set_cache_salt("pepper");
  want.mutable_output_options()->set_token_ids(true);
  want.mutable_output_options()->set_logprobs(0);
  v1::SamplingParams* sampling = want.mutable_sampling_params();
  sampling->set_temperature(0.5f);
  sampling->set_top_p(0.25f);
  sampling->set_top_k(7);
  sampling->set_min_p(0.125f);
  sampling->set_frequency_penalty(1.0f);
  sampling->set_presence_penalty(1.5f);
  sampling->set_repetition_penalty(2.0f);
  sampling->set_max_tokens(5);
  sampling->set_min_tokens(2);
  sampling->set_seed(18446744073709551615u);
  sampling->add_stop("x");
  sampling->add_stop_token_ids(9);
  sampling->set_ignore_eos(true);
  EXPECT_EQ(inference_.seen.DebugString(), want.DebugString());
}

TEST_F(ClientTest, ErrorsKeepTheirCodeAndMessage) {
  inference_.failure = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full");
  absl::Status status = client_
                            ->Generate(
                                {.prompt = std::string("a")}, [](absl::string_view) { return true; }, Never)
                            .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the queue is full"));
}

TEST_F(ClientTest, CancelEndsARunningCall) {
  inference_.hangs = true;
  std::thread canceller([this] {
    while (!inference_.reached) absl::SleepFor(absl::Milliseconds(5));
    client_->Cancel();
  });
  absl::Status status = client_
                            ->Generate(
                                {.prompt = std::string("a")}, [](absl::string_view) { return true; }, Never)
                            .status();
  canceller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST_F(ClientTest, ACancelFromBeforeTheCallIsNotLost) {
  inference_.hangs = true;
  absl::Status status =
      client_
          ->Generate(
              {.prompt = std::string("a")}, [](absl::string_view) { return true; }, [] { return true; })
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST_F(ClientTest, ATimeoutIsADeadline) {
  inference_.hangs = true;
  absl::Status status = client_
                            ->Generate(
                                {.prompt = std::string("a"), .timeout = absl::Milliseconds(200)},
                                [](absl::string_view) { return true; }, Never)
                            .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, HealthAndNodes) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus("kedge.inference.v1.InferenceService", false);
  EXPECT_EQ(*client_->Health(absl::Seconds(10)), "NOT_SERVING");
  health->SetServingStatus("kedge.inference.v1.InferenceService", true);
  EXPECT_EQ(*client_->Health(absl::Seconds(10)), "SERVING");
  std::vector<NodeStatus> nodes = *client_->ListNodes(absl::Seconds(10));
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0].id, "decode-0");
  EXPECT_EQ(nodes[0].role, "decode");
  EXPECT_TRUE(nodes[0].ready);
  EXPECT_EQ(nodes[0].numerics_class, "cpu\\x1b[2J\\n");
}

TEST_F(ClientTest, NobodyThereIsUnavailable) {
  Client client("127.0.0.1:1");
  EXPECT_EQ(client.Health(absl::Seconds(10)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.GetModelInfo(absl::Seconds(10)).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, TextIsPrintedWithAFinalLineFeed) {
  EXPECT_EQ(Printed(TextPrompt("What?"), AnswerFormat::kText), "An anchor.\n");
  ASSERT_EQ(inference_.seen.messages().messages_size(), 1);
  EXPECT_EQ(inference_.seen.messages().messages(0).role(), "user");
  EXPECT_EQ(inference_.seen.messages().messages(0).content(), "What?");
}

TEST_F(ClientTest, JsonIsOneObjectAtTheEnd) {
  nlohmann::json json = nlohmann::json::parse(Printed(TextPrompt("What?"), AnswerFormat::kJson));
  EXPECT_EQ(json["text"], "An anchor.");
  EXPECT_EQ(json["token_ids"], (std::vector<int>{11, 12}));
  EXPECT_EQ(json["decode_node"], "decode-0");
}

TEST_F(ClientTest, TheSummaryFollowsOnStderrInBothForms) {
  for (const AnswerFormat format : {AnswerFormat::kText, AnswerFormat::kJson}) {
    testing::internal::CaptureStderr();
    Printed(TextPrompt("What?"), format);
    const std::string errors = testing::internal::GetCapturedStderr();
    EXPECT_THAT(errors, HasSubstr("kedge: done\n  tokens   9 prompt, 2 output (stop)\n  policy   recent=all\n"));
    EXPECT_THAT(errors, HasSubstr("prefill prefill-0, decode decode-0\n"));
  }
}

TEST_F(ClientTest, AModelWithoutTemplateGetsPlainTextAndThatIsSaid) {
  models_.chat_template = "";
  testing::internal::CaptureStderr();
  Printed(TextPrompt("What?"), AnswerFormat::kText);
  EXPECT_EQ(inference_.seen.text(), "What?");
  const std::string notice = "kedge: the text goes in as it is: tiny.gguf: has no tokenizer.chat_template\n";
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(notice));

  PromptOptions raw = TextPrompt("What?");
  raw.raw = true;  // who asks for it need not be told
  testing::internal::CaptureStderr();
  Printed(raw, AnswerFormat::kText);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::Not(HasSubstr("as it is")));

  PromptOptions system = TextPrompt("What?");
  system.system = "Be kind.";
  absl::Status status;
  Printed(system, AnswerFormat::kText, &status);
  EXPECT_EQ(status.message(), "--system: this is no chat model: tiny.gguf: has no tokenizer.chat_template");
}

TEST_F(ClientTest, EveryFieldOfAChatArrives) {
  Conversation chat;
  chat.messages = {{.role = "user", .content = "a"},
                   {.role = "assistant", .tool_calls = {{"c1", "f", "{}"}}, .reasoning_content = "b"},
                   {.role = "tool", .content = "", .tool_call_id = "c1", .name = "f"}};
  chat.tools = {{.name = "f", .description = "d", .parameters = R"({"z": 1})"}, {.name = "g"}};
  chat.template_arguments = R"({"b": true, "n": null, "l": [1.5, {"x": "y"}]})";
  chat.add_generation_prompt = false;
  chat.continue_final_message = true;
  ASSERT_TRUE(client_
                  ->Generate(
                      {.prompt = chat}, [](absl::string_view) { return true; }, Never)
                  .ok());
  v1::ChatMessages want;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        messages { role: "user" content: "a" }
        messages {
          role: "assistant"
          reasoning_content: "b"
          tool_calls { id: "c1" name: "f" arguments: "{}" }
        }
        messages { role: "tool" content: "" tool_call_id: "c1" name: "f" }
        tools { name: "f" description: "d" parameters: "{\"z\": 1}" }
        tools { name: "g" }
        template_arguments {
          fields {
            key: "b"
            value { bool_value: true }
          }
          fields {
            key: "n"
            value { null_value: NULL_VALUE }
          }
          fields {
            key: "l"
            value {
              list_value {
                values { number_value: 1.5 }
                values {
                  struct_value {
                    fields {
                      key: "x"
                      value { string_value: "y" }
                    }
                  }
                }
              }
            }
          }
        }
        add_generation_prompt: false
        continue_final_message: true
      )pb",
      &want));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(inference_.seen.messages(), want))
      << inference_.seen.messages().DebugString();
}

TEST_F(ClientTest, TheDeepestArgumentsArrive) {
  Conversation chat;
  chat.messages = {{.role = "user", .content = "a"}};
  for (int level = 0; level < kMaxArgumentsDepth; ++level) chat.template_arguments += "{\"a\": ";
  chat.template_arguments += "1" + std::string(kMaxArgumentsDepth, '}');
  const auto answer = client_->Generate(
      {.prompt = chat}, [](absl::string_view) { return true; }, Never);
  EXPECT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(inference_.seen.messages().has_template_arguments());
}

TEST_F(ClientTest, AnErrorPrintsNothingOnStdout) {
  inference_.failure = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "sampling_params.temperature: is NaN");
  absl::Status status;
  EXPECT_EQ(Printed(TextPrompt("What?"), AnswerFormat::kJson, &status), "");
  EXPECT_EQ(status, absl::InvalidArgumentError("--temperature: is NaN"));
}

TEST_F(ClientTest, ASignalCancelsAndKeepsWhatWasWritten) {
  inference_.hangs = true;
  StopSignals signals;
  std::thread killer([this] {
    while (!inference_.reached) absl::SleepFor(absl::Milliseconds(5));
    absl::SleepFor(absl::Milliseconds(50));
    kill(getpid(), SIGINT);
  });
  testing::internal::CaptureStdout();
  absl::Status status =
      GenerateAndPrint(TextPrompt("a"), SamplingOptions(), AnswerFormat::kText, client_.get(), &signals);
  killer.join();
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "An an\n");
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace kedge
