// Streams of nodes that stop talking; what nodes say is tested in router_nodes_test.cc.
#include "router/registry_service.h"

#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/rpc/channel.h"
#include "common/rpc/protocol.h"
#include "common/rpc/server.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "kedge/node/v1/node.grpc.pb.h"
#include "router/node_info_testing.h"

namespace kedge {
namespace {

using node::v1::RegisterRequest;
using node::v1::RegisterResponse;

class RegistryServiceTest : public testing::Test {
 protected:
  static constexpr absl::Duration kLimit = absl::Milliseconds(500);

  RegistryServiceTest() {
    service_ = NewRegistryService(&registry_, nullptr, &clock_, &timers_,
                                  {.max_streams = 3, .first_message_limit = kLimit, .silence_limit = 2 * kLimit});
    server_ = RpcServer::Start({.listen = "127.0.0.1:0", .services = {service_.get()}}).value();
    node_ = RpcServer::Start({.listen = "127.0.0.1:0",
                              .services = {&decode_},
                              .health_services = {kDecodeServiceName}})
                .value();
    node_->SetServing(kDecodeServiceName, true);
    stub_ = node::v1::RegistryService::NewStub(NewChannel(server_->address()));
  }

  // A stream of a node, as its other side sees it.
  struct Stream {
    explicit Stream(node::v1::RegistryService::Stub* stub) : call(stub->Register(&context)) {}
    ~Stream() { context.TryCancel(); }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<RegisterRequest, RegisterResponse>> call;
  };
  std::unique_ptr<Stream> Open() { return std::make_unique<Stream>(stub_.get()); }
  std::unique_ptr<Stream> Registered(const std::string& id) {
    auto stream = Open();
    RegisterRequest request;
    *request.mutable_info() = InfoOfNode(id, node_->address());
    RegisterResponse response;
    EXPECT_TRUE(stream->call->Write(request));
    EXPECT_TRUE(stream->call->Read(&response));
    return stream;
  }
  static grpc::StatusCode EndOf(Stream* stream) {
    RegisterResponse response;
    while (stream->call->Read(&response)) {
    }
    return stream->call->Finish().error_code();
  }

  RealClock clock_;
  NodeRegistry registry_{&clock_, "print", "canonical"};
  Executor timers_{1};
  node::v1::DecodeService::Service decode_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<RpcServer> node_;
  std::unique_ptr<node::v1::RegistryService::Stub> stub_;
};

TEST_F(RegistryServiceTest, AStreamThatSaysNothingEnds) {
  const absl::Time begin = absl::Now();
  EXPECT_EQ(EndOf(Open().get()), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_GE(absl::Now() - begin, kLimit);
  EXPECT_LE(absl::Now() - begin, absl::Seconds(20));
}

TEST_F(RegistryServiceTest, ANodeThatFallsSilentIsForgotten) {
  auto stream = Registered("d1");
  RegisterRequest beat;
  beat.mutable_heartbeat()->set_engine_turns(1);
  for (int i = 0; i < 20; ++i) {  // longer than all limits
    ASSERT_TRUE(stream->call->Write(beat));
    absl::SleepFor(kLimit / 4);
  }
  EXPECT_EQ(registry_.Snapshot().nodes.size(), 1u);
  EXPECT_EQ(EndOf(stream.get()), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(registry_.Snapshot().nodes.size(), 0u);
  stream = Registered("d1");  // and may come back
  EXPECT_EQ(registry_.Snapshot().nodes.size(), 1u);
}

TEST_F(RegistryServiceTest, NoMoreStreamsThanMayBe) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(Registered("d" + std::to_string(i)));
  EXPECT_EQ(EndOf(Open().get()), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(registry_.Snapshot().nodes.size(), 3u);
  streams.pop_back();
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (registry_.Snapshot().nodes.size() == 3 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
  absl::SleepFor(absl::Milliseconds(100));
  streams.push_back(Registered("d3"));
  EXPECT_EQ(registry_.Snapshot().nodes.size(), 3u);
}

TEST_F(RegistryServiceTest, TimersOutliveStreams) {
  for (int i = 0; i < 50; ++i) {
    auto stream = i % 2 == 0 ? Open() : Registered("d1");
    stream->context.TryCancel();
    EXPECT_EQ(EndOf(stream.get()), grpc::StatusCode::CANCELLED);
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (!registry_.Snapshot().nodes.empty() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
  }
  absl::SleepFor(2 * kLimit);
}

}  // namespace
}  // namespace kedge
