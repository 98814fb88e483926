#include "common/rpc/reflection.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"

namespace kedge {
namespace {

constexpr char kReflect[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kListServices[] = "\x3a\1*";                                  // field 7, "*"
constexpr char kFindSymbol[] = "\x22\x21kedge.inference.v1.ClusterService";  // field 4, 33 bytes

grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!bytes.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

// A call whose messages are bytes; one operation after the other.
class Call {
 public:
  Call(const RpcServer& server, const std::string& method) : stub_(NewChannel(server.address())) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream_ = stub_.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(this);
    Wait();
  }

  // The response, or nothing: the call is over.
  std::string Ask(const std::string& request) {
    stream_->Write(Bytes(request), this);
    if (!Wait()) return "";
    grpc::ByteBuffer response;
    stream_->Read(&response, this);
    return Wait() ? Text(response) : "";
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status End() {
    stream_->WritesDone(this);
    Wait();
    grpc::Status status;
    stream_->Finish(&status, this);
    Wait();
    return status;
  }

 private:
  bool Wait() {
    void* tag;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

class ReflectionTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service_}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  inference::v1::ClusterService::Service service_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(ReflectionTest, AnswersOneRequestAfterTheOtherOfACall) {
  Call call(*server_, kReflect);
  for (int i = 0; i < 3; ++i) {
    const std::string services = call.Ask(kListServices);
    for (const char* name :
         {"kedge.inference.v1.ClusterService", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}) {
      EXPECT_TRUE(absl::StrContains(services, name)) << name;
    }
    const std::string symbol = call.Ask(kFindSymbol);
    EXPECT_TRUE(absl::StrContains(symbol, "ListNodes"));
    EXPECT_EQ(call.Ask(kFindSymbol), symbol);
  }
  EXPECT_TRUE(call.End().ok());
}

TEST_F(ReflectionTest, RefusesWhatIsNoName) {
  std::string most = absl::StrCat("\x22\xfd\x1f", std::string(Reflection::kMostRequest - 3, 'a'));  // one long name
  Call allowed(*server_, kReflect);
  EXPECT_TRUE(absl::StrContains(allowed.Ask(most), "Symbol not found"));
  EXPECT_TRUE(allowed.End().ok());
  for (const size_t size : {Reflection::kMostRequest + 1, size_t{15} << 20}) {
    Call call(*server_, kReflect);
    EXPECT_NE(call.Ask(kListServices), "");
    EXPECT_EQ(call.Ask(std::string(size, 1)), "");
    EXPECT_EQ(call.End().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << size;
  }
}

// The library answers them with nothing, which is no message.
TEST_F(ReflectionTest, WhatIsNoRequestEndsTheCall) {
  for (const std::string& bad : {std::string("\xff"), std::string("\x22\1\xff"), std::string("\x22\5a"),
                                 std::string(1, 0), std::string("\x0b"), std::string(200, '\x7b')}) {
    Call call(*server_, kReflect);
    EXPECT_NE(call.Ask(kListServices), "");
    EXPECT_EQ(call.Ask(bad), "");
    EXPECT_EQ(call.End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(ReflectionTest, CallsThatStayOpenAreBounded) {
  std::vector<std::unique_ptr<Call>> open;
  for (int i = 0; i < Reflection::kMostCalls; ++i) {
    open.push_back(std::make_unique<Call>(*server_, kReflect));
    ASSERT_NE(open.back()->Ask(kListServices), "") << i;
  }
  Call more(*server_, kReflect);
  EXPECT_EQ(more.Ask(kListServices), "");
  EXPECT_EQ(more.End().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(open.back()->End().ok());
  open.pop_back();
  // The server counts the call until it is done with it as well.
  std::string answer;
  for (const absl::Time end = absl::Now() + absl::Seconds(10); answer.empty() && absl::Now() < end;) {
    answer = Call(*server_, kReflect).Ask(kListServices);
  }
  EXPECT_NE(answer, "");
}

TEST_F(ReflectionTest, OtherMethodsAreUnimplemented) {
  for (const char* method : {"/grpc.reflection.v1alpha.ServerReflection/Other", "/a.B/C", "nonsense"}) {
    Call call(*server_, method);
    EXPECT_EQ(call.Ask("x"), "");
    EXPECT_EQ(call.End().error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
  }
}

// At every moment of a call: the server goes on, and ends while calls are open.
TEST_F(ReflectionTest, CallsThatEndAtAnyMomentLeaveNothing) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 100; ++i) {
        Call call(*server_, kReflect);
        std::thread canceller([&] {
          absl::SleepFor(absl::Microseconds(7 * i + thread));
          call.Cancel();
        });
        call.Ask(kListServices);
        call.Ask(kFindSymbol);
        canceller.join();
        call.End();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Call open(*server_, kReflect);
  EXPECT_NE(open.Ask(kListServices), "");
  server_ = nullptr;
  EXPECT_FALSE(open.End().ok());
}

}  // namespace
}  // namespace kedge
