// A whole router over real gRPC on loopback, with decode nodes that follow a script.
#ifndef KEDGE_ROUTER_ROUTER_TESTING_H_
#define KEDGE_ROUTER_ROUTER_TESTING_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "common/rpc/channel.h"
#include "common/rpc/protocol.h"
#include "common/rpc/registrar.h"
#include "common/testing/tiny_model.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"
#include "kedge/inference/v1/inference.grpc.pb.h"
#include "kedge/node/v1/node.grpc.pb.h"
#include "router/node_info_testing.h"
#include "router/router.h"

namespace kedge {

// Of the model that the router of the tests serves.
inline const std::string& Fingerprint() {
  static const auto* const fingerprint = new std::string([] {
    const std::string bytes = MakeTinyModel({});
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    return *ModelFingerprint(**GgufFile::Parse(absl::MakeConstSpan(data, bytes.size()), "tiny"), "");
  }());
  return *fingerprint;
}

inline node::v1::NodeInfo FittingNode(const std::string& id, const std::string& address) {
  node::v1::NodeInfo info = InfoOfNode(id, address);
  info.set_fingerprint(Fingerprint());
  info.set_row_bytes(100);
  return info;
}

inline bool Await(const std::function<bool()>& condition) {
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
  using Writer = grpc::ServerWriter<node::v1::DecodeResponse>;
  using Script = std::function<grpc::Status(const node::v1::DecodeRequest&, grpc::ServerContext*, Writer*)>;

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
    options.info = FittingNode(id_, server_->address());
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

  grpc::Status Decode(grpc::ServerContext* context, const node::v1::DecodeRequest* request,
                      grpc::ServerWriter<node::v1::DecodeResponse>* writer) override {
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

inline void WaitForCancel(grpc::ServerContext* context) {
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
  static node::v1::NodeInfo Stranger(const std::string& address) { return FittingNode("d2", address); }
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
    return [answer, prefill_node](const node::v1::DecodeRequest& request, grpc::ServerContext*,
                                  grpc::ServerWriter<node::v1::DecodeResponse>* writer) {
      node::v1::DecodeResponse first;
      first.mutable_prefilled()->set_prefill_node(prefill_node);
      first.mutable_prefilled()->set_kept_rows(3);
      first.mutable_prefilled()->set_row_bytes(100);
      first.mutable_prefilled()->set_segment_bytes(350);
      first.mutable_prefilled()->set_numerics_class("cpu");
      first.mutable_prefilled()->mutable_salient();  // the default policy wants a choice
      writer->Write(first);
      for (size_t i = static_cast<size_t>(request.content().ids_size()) - request.content().prompt_length();
           i < answer.size(); ++i) {
        node::v1::DecodeResponse message;
        message.set_first_index(static_cast<uint32_t>(i));
        message.add_tokens()->set_id(answer[i]);
        writer->Write(message);
      }
      node::v1::DecodeResponse last;
      last.mutable_finished()->set_reason(node::v1::END_REASON_END_ID);
      last.mutable_finished()->set_end_id(2);
      writer->Write(last);
      return grpc::Status::OK;
    };
  }

  static inference::v1::GenerateRequest Request(const std::string& text = "Hello.") {
    inference::v1::GenerateRequest request;
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
  grpc::Status Stream(grpc::ClientContext* context, const inference::v1::GenerateRequest& request, std::string* text,
                      inference::v1::GenerateStreamResponse* last = nullptr) {
    auto reader = stub_->GenerateStream(context, request);
    inference::v1::GenerateStreamResponse message;
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

}  // namespace kedge

#endif  // KEDGE_ROUTER_ROUTER_TESTING_H_
