// Real connections between a server and channels of members.
#include "common/tls/membership.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/write_file.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"

namespace kedge {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kYear = absl::Hours(24 * 365);

class ListsNobody : public inference::v1::ClusterService::Service {
  grpc::Status ListNodes(grpc::ServerContext*, const inference::v1::ListNodesRequest*,
                         inference::v1::ListNodesResponse*) override {
    return grpc::Status::OK;
  }
};

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() {
    std::filesystem::remove_all(root_);
    Issue("router", MemberRole::kRouter);
    server_ = RpcServer::Start({.listen = "127.0.0.1:0",
                                .services = {&service_},
                                .credentials = Member("router")->ServerCredentials()})
                  .value();
  }

  std::string Directory(const std::string& name) const { return absl::StrCat(root_, "/", name); }
  void Issue(const std::string& name, MemberRole role) const { IssueBy(authority_, name, role); }
  void IssueBy(const CertifiedKey& authority, const std::string& name, MemberRole role) const {
    const CertifiedKey made = MakeCertificate(authority, {.role = role, .names = {name}, .valid = kYear}).value();
    const std::string directory = Directory(name);
    ASSERT_TRUE(WriteFile(directory + "/ca.pem", authority.certificate).ok());
    ASSERT_TRUE(WriteFile(directory + "/key.pem", made.key).ok());
    ASSERT_TRUE(WriteFile(directory + "/cert.pem", made.certificate).ok());
  }
  std::shared_ptr<const Membership> Member(const std::string& name) const {
    return Membership::Load(Directory(name)).value();
  }

  std::shared_ptr<grpc::Channel> Channel(std::shared_ptr<grpc::ChannelCredentials> credentials,
                                         const std::string& server_name = "router") const {
    return NewChannel(server_->address(),
                      {.credentials = std::move(credentials), .server_name = server_name, .own_connection = true});
  }
  static grpc::Status ListNodes(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
    inference::v1::ListNodesResponse response;
    return inference::v1::ClusterService::NewStub(channel)->ListNodes(&context, {}, &response);
  }
  static grpc::Status Health(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
    grpc::health::v1::HealthCheckResponse response;
    return grpc::health::v1::Health::NewStub(channel)->Check(&context, {}, &response);
  }

  const std::string root_ = testing::TempDir() + "/membership";
  const CertifiedKey authority_ = MakeAuthority(kYear).value();
  ListsNobody service_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(MembershipTest, RolesSayWhoMayCallWhat) {
  Issue("ops", MemberRole::kAdmin);
  EXPECT_TRUE(ListNodes(Channel(Member("ops")->channel_credentials())).ok());
  Issue("decode-0", MemberRole::kDecode);
  const auto channel = Channel(Member("decode-0")->channel_credentials());
  EXPECT_TRUE(Health(channel).ok());
  const grpc::Status refused = ListNodes(channel);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(refused.error_message(), HasSubstr("\"decode-0\" has no role that may call /kedge.inference.v1.Cluster"));
}

TEST_F(MembershipTest, StrangersGetNoConnection) {
  // Nothing, the right authority without a certificate, a certificate of another authority.
  EXPECT_EQ(Health(Channel(nullptr)).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Health(Channel(TrustingCredentials(authority_.certificate))).error_code(), grpc::StatusCode::UNAVAILABLE);
  IssueBy(MakeAuthority(kYear).value(), "ops", MemberRole::kAdmin);
  EXPECT_EQ(Health(Channel(Member("ops")->channel_credentials())).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(MembershipTest, AServerMustHaveTheNameThatIsConnectedTo) {
  Issue("ops", MemberRole::kAdmin);
  const std::shared_ptr<const Membership> ops = Member("ops");
  EXPECT_EQ(Health(Channel(ops->channel_credentials(), "router-2")).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Health(Channel(ops->channel_credentials(), "")).error_code(), grpc::StatusCode::UNAVAILABLE);  // 127.0.0.1
  EXPECT_TRUE(Health(Channel(ops->channel_credentials(), "router")).ok());
}

TEST_F(MembershipTest, RevokedCallersAreRefusedWithinSecondsOnOpenConnectionsToo) {
  Issue("ops", MemberRole::kAdmin);
  Issue("ops-2", MemberRole::kAdmin);
  const auto channel = Channel(Member("ops")->channel_credentials());
  const auto other = Channel(Member("ops-2")->channel_credentials());
  ASSERT_TRUE(ListNodes(channel).ok());
  ASSERT_TRUE(ListNodes(other).ok());
  const std::string serial = Member("ops")->facts().serial;
  ASSERT_TRUE(WriteFile(Directory("router") + "/revoked", serial + "\n").ok());
  const absl::Time end = absl::Now() + absl::Seconds(10);
  grpc::Status status;
  do {
    status = ListNodes(channel);
  } while (status.ok() && absl::Now() < end);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("\"ops\" was revoked"));
  EXPECT_TRUE(ListNodes(other).ok());
  // A new certificate for the same name is another one.
  Issue("ops", MemberRole::kAdmin);
  EXPECT_TRUE(ListNodes(Channel(Member("ops")->channel_credentials())).ok());
}

TEST_F(MembershipTest, RotationServesNewConnectionsAndKeepsOldOnes) {
  Issue("ops", MemberRole::kAdmin);
  const std::shared_ptr<const Membership> ops = Member("ops");
  const auto before = Channel(ops->channel_credentials());
  ASSERT_TRUE(ListNodes(before).ok());
  // A new authority, trusted beside the old one; then the server's certificate is by the new one alone.
  const CertifiedKey next = MakeAuthority(kYear).value();
  const std::string both = authority_.certificate + next.certificate;
  ASSERT_TRUE(WriteFile(Directory("ops") + "/ca.pem", both).ok());
  const CertifiedKey made =
      MakeCertificate(next, {.role = MemberRole::kRouter, .names = {"router-2", "router"}, .valid = kYear}).value();
  ASSERT_TRUE(WriteFile(Directory("router") + "/key.pem", made.key).ok());
  ASSERT_TRUE(WriteFile(Directory("router") + "/cert.pem", made.certificate).ok());
  const absl::Time end = absl::Now() + absl::Seconds(10);
  grpc::Status status;
  do {
    EXPECT_TRUE(ListNodes(before).ok());
    status = ListNodes(Channel(ops->channel_credentials(), "router-2"));
  } while (!status.ok() && absl::Now() < end);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(ListNodes(before).ok());
}

TEST_F(MembershipTest, SaysWhatIsWrongWithTheDirectory) {
  const auto message = [&] { return std::string(Membership::Load(Directory("ops")).status().message()); };
  EXPECT_THAT(message(), HasSubstr("/ops/ca.pem: No such file"));
  Issue("ops", MemberRole::kAdmin);
  std::filesystem::copy_file(Directory("router") + "/key.pem", Directory("ops") + "/key.pem",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(message(), HasSubstr("/ops/key.pem: is not the key of cert.pem"));
}

TEST(CheckDoorTest, OutsideNeedsCertificates) {
  for (const char* inside : {"127.0.0.1:1", "[::1]:0", "localhost:1"}) {
    EXPECT_TRUE(CheckDoor("--listen", inside, nullptr).ok()) << inside;
  }
  for (const char* outside : {"0.0.0.0:1", "[::]:0", "10.0.0.1:1", "example.org:1"}) {
    const absl::Status status = CheckDoor("--listen", outside, nullptr);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << outside;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("--listen: ", outside))) << outside;
    EXPECT_THAT(std::string(status.message()), HasSubstr("kedge certs")) << outside;
  }
}

TEST(CheckPeerAddressTest, WithoutCertificatesOnlyThisMachineIsTrusted) {
  for (const char* fine : {"127.0.0.1:1", "[::1]:2", "localhost:3"}) {
    EXPECT_TRUE(CheckPeerAddress("address", fine, nullptr).ok()) << fine;
  }
  for (const char* bad : {"10.0.0.1:1", "example.org:1", "unix:7", "unix:/tmp/socket", "dns:///127.0.0.1:1",
                          "ipv4:127.0.0.1:1", "127.0.0.1", "127.0.0.1:0", ""}) {
    const absl::Status status = CheckPeerAddress("address", bad, nullptr);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), testing::StartsWith("address: ")) << bad;
  }
}

}  // namespace
}  // namespace kedge
