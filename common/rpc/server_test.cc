#include "common/rpc/server.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"

namespace kedge {
namespace {

using grpc::health::v1::HealthCheckResponse;

class NoNodes : public inference::v1::ClusterService::Service {};

grpc::Status Check(const RpcServer& server, const std::string& service, HealthCheckResponse* response) {
  auto stub = grpc::health::v1::Health::NewStub(NewChannel(server.address()));
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  return stub->Check(&context, request, response);
}

TEST(RpcServerTest, ReportsTheRealPortAndServesHealth) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service}, .health_services = {"a.Service"}});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->port(), 0);
  EXPECT_EQ((*server)->address(), "127.0.0.1:" + std::to_string((*server)->port()));

  HealthCheckResponse response;
  ASSERT_TRUE(Check(**server, "", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  ASSERT_TRUE(Check(**server, "a.Service", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  (*server)->SetServing("a.Service", true);
  ASSERT_TRUE(Check(**server, "a.Service", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(Check(**server, "another.Service", &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(RpcServerTest, SaysThatAPortIsTaken) {
  NoNodes service;
  auto first = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service}});
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = RpcServer::Start({.listen = (*first)->address(), .services = {&service}});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find((*first)->address() + ": the port is taken"), absl::string_view::npos)
      << second.status();
}

TEST(RpcServerTest, StartsAgainOnAPortThatWasJustUsed) {
  NoNodes service;
  std::string address;
  for (int i = 0; i < 3; ++i) {
    auto server = RpcServer::Start({.listen = address.empty() ? "127.0.0.1:0" : address, .services = {&service}});
    ASSERT_TRUE(server.ok()) << server.status();
    address = (*server)->address();
    HealthCheckResponse response;
    ASSERT_TRUE(Check(**server, "", &response).ok());
    (*server)->Shutdown(absl::ZeroDuration());
    (*server)->Shutdown(absl::ZeroDuration());  // idempotent
  }
}

TEST(RpcServerTest, RefusesMalformedAddresses) {
  NoNodes service;
  for (const char* bad : {"", "50051", "host:", "host:x", "host:70000", "host:-1", ":1", "::1:50051",
                          "no-such-host.invalid:1", "192.0.2.1:50051"}) {
    auto server = RpcServer::Start({.listen = bad, .services = {&service}});
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << bad << ": " << server.status();
  }
}

TEST(RpcServerTest, AnIpv6AddressKeepsItsBrackets) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "[::1]:0", .services = {&service}});
  if (!server.ok()) GTEST_SKIP() << "no IPv6 here: " << server.status();
  EXPECT_EQ((*server)->address(), absl::StrCat("[::1]:", (*server)->port()));
  HealthCheckResponse response;
  EXPECT_TRUE(Check(**server, "", &response).ok());
}

}  // namespace
}  // namespace kedge
