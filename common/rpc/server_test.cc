#include "common/rpc/server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/channel.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
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

TEST(RpcServerTest, AnswersAtAllAddressesOfAName) {
  NoNodes service;
  for (const char* listen : {"localhost:0", "0.0.0.0:0", "127.0.0.1:0"}) {
    auto server = RpcServer::Start({.listen = listen, .services = {&service}});
    ASSERT_TRUE(server.ok()) << server.status();
    EXPECT_TRUE((*server)->Knock(absl::Seconds(10)).ok()) << listen;
    HealthCheckResponse response;
    EXPECT_TRUE(Check(**server, "", &response).ok()) << listen;
  }
}

// A full house lets those go on who are in it, and is not taken for a shut door.
TEST(RpcServerTest, ConnectionsBeyondTheirNumberAreRefusedAndOthersGoOn) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service}, .max_connections = 2});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto check = [](grpc::Channel* channel) {
    grpc::ClientContext context;
    HealthCheckResponse response;
    return grpc::health::v1::Health::NewStub(std::shared_ptr<grpc::Channel>(channel, [](auto*) {}))
        ->Check(&context, {}, &response);
  };
  auto first = NewChannel((*server)->address(), {.own_connection = true});
  auto second = NewChannel((*server)->address(), {.own_connection = true});
  auto third = NewChannel((*server)->address(), {.own_connection = true});
  EXPECT_TRUE(check(first.get()).ok());
  EXPECT_TRUE(check(second.get()).ok());
  EXPECT_EQ(check(third.get()).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE((*server)->Knock(absl::Seconds(10)).ok());
  EXPECT_TRUE(check(first.get()).ok());
  second = nullptr;
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!check(third.get()).ok() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_TRUE(check(third.get()).ok());
  EXPECT_TRUE(check(first.get()).ok());
}

// Its client makes another connection for further calls.
TEST(RpcServerTest, AnOldConnectionCutsNoCall) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "127.0.0.1:0",
                                  .services = {&service},
                                  .health_services = {"a.Service"},
                                  .max_connection_age = absl::Milliseconds(300)});
  ASSERT_TRUE(server.ok()) << server.status();
  auto stub = grpc::health::v1::Health::NewStub(NewChannel((*server)->address()));
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("a.Service");
  auto watch = stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  for (int i = 0; i < 5; ++i) {
    absl::SleepFor(absl::Milliseconds(400));
    grpc::ClientContext other;
    EXPECT_TRUE(stub->Check(&other, request, &response).ok());
    const bool serving = i % 2 == 0;
    (*server)->SetServing("a.Service", serving);
    ASSERT_TRUE(watch->Read(&response));
    EXPECT_EQ(response.status() == HealthCheckResponse::SERVING, serving);
  }
  context.TryCancel();
  watch->Finish();
}

// Connects and sends this; returns how long the server lets it be.
absl::Duration TimeUntilEnd(const RpcServer& server, const std::string& text) {
  sockaddr_in address{.sin_family = AF_INET,
                      .sin_port = htons(static_cast<uint16_t>(server.port())),
                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const int file = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(file, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const absl::Time begin = absl::Now();
  send(file, text.data(), text.size(), MSG_NOSIGNAL);
  char byte;
  while (recv(file, &byte, 1, 0) > 0) {  // the server's own first frames
  }
  close(file);
  return absl::Now() - begin;
}

TEST(RpcServerTest, WhoSaysNothingIsSentAwayInTime) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service}});
  ASSERT_TRUE(server.ok()) << server.status();
  const absl::Duration time = TimeUntilEnd(**server, "");
  EXPECT_GT(time, absl::Seconds(8));
  EXPECT_LT(time, absl::Seconds(30));
}

std::string Frame(uint8_t type, const std::string& payload) {
  const auto byte = [&](int shift) { return static_cast<char>(payload.size() >> shift); };
  return std::string({byte(16), byte(8), byte(0), static_cast<char>(type), 0, 0, 0, 0, 1}) + payload;
}

// CVE-2023-33953: without a guard gRPC waits for all of such a header, and copies what it has whenever more comes.
TEST(RpcServerTest, AHeaderThatDoesNotEndEndsItsConnection) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service}});
  ASSERT_TRUE(server.ok()) << server.status();
  std::string settings = Frame(4, "");
  settings[8] = 0;  // of the connection
  // A field "a" without an index, whose value is to have 1 GiB.
  std::string text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings +
                     Frame(1, std::string("\0\1a\x7f\x81\xff\xff\xff\x03", 9) + "value");
  for (int i = 0; i < 8; ++i) text += Frame(9, std::string(16384, 'v'));
  EXPECT_LT(TimeUntilEnd(**server, text), absl::Seconds(8));
}

// Without a guard gRPC keeps up to 4 GiB before it says that they are too much.
TEST(RpcServerTest, AMessageWithoutEndEndsItsConnection) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service}});
  ASSERT_TRUE(server.ok()) << server.status();
  std::string settings = Frame(4, "");
  settings[8] = 0;
  std::string headers;  // fields without an index
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{":method", "POST"},
                                                        {":scheme", "http"},
                                                        {":path", "/grpc.health.v1.Health/Check"},
                                                        {":authority", "a"},
                                                        {"te", "trailers"},
                                                        {"content-type", "application/grpc"}}) {
    absl::StrAppend(&headers, absl::string_view("\0", 1), std::string(1, static_cast<char>(name.size())), name,
                    std::string(1, static_cast<char>(value.size())), value);
  }
  std::string call = Frame(1, headers);
  call[4] = 4;  // the headers end here
  const std::string begin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + call;
  EXPECT_LT(TimeUntilEnd(**server, begin + Frame(0, std::string("\0\xff\xff\xff\xff", 5) + "some")), absl::Seconds(8));
}

TEST(RpcServerTest, DecompressesNothing) {
  NoNodes service;
  auto server = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service}});
  ASSERT_TRUE(server.ok()) << server.status();
  auto stub =
      grpc::health::v1::Health::NewStub(grpc::CreateChannel((*server)->address(), grpc::InsecureChannelCredentials()));
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(std::string(1 << 20, 'a'));  // a kilobyte
    HealthCheckResponse response;
    EXPECT_EQ(stub->Check(&context, request, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED);
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
