#include "common/rpc/registrar.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/write_file.h"
#include "common/rpc/server.h"
#include "common/tls/certificate.h"
#include "gtest/gtest.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {
namespace {

// A router as a script: refuses with `refusal` until that is OK, then takes everybody.
class FakeRegistry : public node::v1::RegistryService::Service {
 public:
  using Stream = grpc::ServerReaderWriter<node::v1::RegisterResponse, node::v1::RegisterRequest>;

  grpc::Status Register(grpc::ServerContext* context, Stream* stream) override {
    node::v1::RegisterRequest request;
    if (!stream->Read(&request)) return grpc::Status::OK;
    {
      absl::MutexLock lock(&mutex_);
      ++tries_;
      info_ = request.info();
      if (!refusal_.ok()) return refusal_;
    }
    stream->Write(node::v1::RegisterResponse());
    while (stream->Read(&request)) {
      absl::MutexLock lock(&mutex_);
      heartbeats_.push_back(request.heartbeat().engine_turns());
    }
    absl::MutexLock lock(&mutex_);
    ++ended_;
    return grpc::Status::OK;
  }

  // Waits until `condition` holds of this; returns whether it came true in time.
  template <typename Condition>
  bool Await(Condition condition) {
    const absl::Time limit = absl::Now() + absl::Seconds(10);
    while (absl::Now() < limit) {
      {
        absl::MutexLock lock(&mutex_);
        if (condition()) return true;
      }
      absl::SleepFor(absl::Milliseconds(2));
    }
    return false;
  }

  absl::Mutex mutex_;
  grpc::Status refusal_;  // the rest: guarded by mutex_
  int tries_ = 0;
  int ended_ = 0;
  node::v1::NodeInfo info_;
  std::vector<uint64_t> heartbeats_;
};

RegistrarOptions QuickOptions(std::vector<std::string> routers, std::atomic<uint64_t>* turns) {
  RegistrarOptions options;
  options.routers = std::move(routers);
  options.info.set_node_id("decode-1");
  options.heartbeat = [turns] {
    node::v1::Heartbeat heartbeat;
    heartbeat.set_engine_turns(++*turns);
    return heartbeat;
  };
  options.interval = absl::Milliseconds(20);
  options.first_backoff = absl::Milliseconds(10);
  options.max_backoff = absl::Milliseconds(50);
  options.refused_backoff = absl::Milliseconds(50);
  return options;
}

std::unique_ptr<RpcServer> Serve(FakeRegistry* registry, const std::string& listen = "127.0.0.1:0") {
  auto server = RpcServer::Start({.listen = listen, .services = {registry}});
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(RegistrarTest, RegistersWithEachRouterAndSendsHeartbeats) {
  FakeRegistry first, second;
  auto first_server = Serve(&first);
  auto second_server = Serve(&second);
  std::atomic<uint64_t> turns{0};
  {
    Registrar registrar(QuickOptions({first_server->address(), second_server->address()}, &turns));
    EXPECT_TRUE(first.Await([&] { return first.heartbeats_.size() >= 3; }));
    EXPECT_TRUE(second.Await([&] { return second.heartbeats_.size() >= 3; }));
    EXPECT_EQ(registrar.registered(), 2);
  }
  // The end of the registrar ends the streams at once.
  EXPECT_TRUE(first.Await([&] { return first.ended_ == 1; }));
  EXPECT_TRUE(second.Await([&] { return second.ended_ == 1; }));
  EXPECT_EQ(first.info_.node_id(), "decode-1");
  EXPECT_LT(first.heartbeats_[0], first.heartbeats_[1]);
}

TEST(RegistrarTest, AHeartbeatThatIsAskedForComesAtOnce) {
  FakeRegistry registry;
  auto server = Serve(&registry);
  std::atomic<uint64_t> turns{0};
  RegistrarOptions options = QuickOptions({server->address()}, &turns);
  options.interval = absl::Hours(1);
  Registrar registrar(options);
  EXPECT_TRUE(registry.Await([&] { return registry.heartbeats_.size() == 1; }));
  registrar.Beat();
  EXPECT_TRUE(registry.Await([&] { return registry.heartbeats_.size() == 2; }));
}

TEST(RegistrarTest, FindsARouterThatStartsLateAndOneThatRestarts) {
  std::atomic<uint64_t> turns{0};
  FakeRegistry registry;
  std::string address;
  { address = Serve(&registry)->address(); }  // a port that nobody listens on
  Registrar registrar(QuickOptions({address}, &turns));
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(registrar.registered(), 0);
  for (int round = 0; round < 2; ++round) {
    FakeRegistry fresh;
    auto server = Serve(&fresh, address);
    EXPECT_TRUE(fresh.Await([&] { return fresh.heartbeats_.size() >= 2; })) << "round " << round;
  }
}

TEST(RegistrarTest, ReportsARefusalAndGoesOnTrying) {
  FakeRegistry registry;
  registry.refusal_ = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "kv_type: the cluster's is f16");
  auto server = Serve(&registry);
  std::atomic<uint64_t> turns{0};
  std::atomic<int> refusals{0};
  RegistrarOptions options = QuickOptions({server->address()}, &turns);
  options.on_refused = [&](const std::string& router, const absl::Status& status) {
    EXPECT_EQ(router, server->address());
    EXPECT_EQ(status, absl::FailedPreconditionError("kv_type: the cluster's is f16"));
    ++refusals;
  };
  Registrar registrar(options);
  EXPECT_TRUE(registry.Await([&] { return refusals >= 2; }));
  {
    absl::MutexLock lock(&registry.mutex_);
    registry.refusal_ = grpc::Status::OK;
  }
  EXPECT_TRUE(registry.Await([&] { return registry.heartbeats_.size() >= 2; }));
}

// A member's certificate, for localhost and for one role.
std::shared_ptr<const Membership> MemberOf(const CertifiedKey& authority, const std::string& directory,
                                           MemberRole role) {
  const CertifiedKey made =
      MakeCertificate(authority, {.role = role, .names = {"localhost"}, .valid = absl::Hours(1)}).value();
  EXPECT_TRUE(WriteFile(directory + "/ca.pem", authority.certificate).ok());
  EXPECT_TRUE(WriteFile(directory + "/key.pem", made.key).ok());
  EXPECT_TRUE(WriteFile(directory + "/cert.pem", made.certificate).ok());
  return Membership::Load(directory).value();
}

TEST(RegistrarTest, TrustsOnlyARouterWhoseCertificateSaysSoAndIsNotRevoked) {
  const std::string root = testing::TempDir() + "/registrar";
  std::filesystem::remove_all(root);
  const CertifiedKey authority = MakeAuthority(absl::Hours(1)).value();
  const auto node = MemberOf(authority, root + "/node", MemberRole::kDecode);
  const auto router = MemberOf(authority, root + "/router", MemberRole::kRouter);
  absl::Mutex mutex;
  std::string refusal;
  const auto refused = [&](const std::string& why) {
    absl::MutexLock lock(&mutex);
    return refusal.find(why) != std::string::npos;
  };
  for (const auto& server_member : {MemberOf(authority, root + "/other", MemberRole::kPrefill), router}) {
    FakeRegistry registry;
    const auto server = RpcServer::Start({.listen = "localhost:0",
                                          .services = {&registry},
                                          .credentials = server_member->ServerCredentials()})
                            .value();
    std::atomic<uint64_t> turns{0};
    RegistrarOptions options = QuickOptions({server->address()}, &turns);
    options.member = node;
    options.on_refused = [&](const std::string&, const absl::Status& status) {
      absl::MutexLock lock(&mutex);
      refusal = std::string(status.message());
    };
    const Registrar registrar(std::move(options));
    if (server_member != router) {
      EXPECT_TRUE(registry.Await([&] { return refused("has not the role of a router"); }));
      EXPECT_EQ(registrar.registered(), 0);
      EXPECT_TRUE(registry.Await([&] { return registry.heartbeats_.empty(); }));
      continue;
    }
    EXPECT_TRUE(registry.Await([&] { return registry.heartbeats_.size() >= 3; }));
    EXPECT_EQ(registrar.registered(), 1);
    ASSERT_TRUE(WriteFile(root + "/node/revoked", router->facts().serial).ok());
    EXPECT_TRUE(registry.Await([&] { return refused("was revoked"); }));
    EXPECT_EQ(registrar.registered(), 0);
  }
}

}  // namespace
}  // namespace kedge
