// Which nodes a router takes in and uses, and what it tells of them.
#include <memory>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include "kedge/inference/v1/model.grpc.pb.h"
#include "router/router.h"
#include "router/router_testing.h"

namespace kedge {
namespace {

using grpc::StatusCode;
using inference::v1::GenerateResponse;

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
    EXPECT_EQ(response.default_policy(), router_->model().readable_default_policy);
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

}  // namespace
}  // namespace kedge
