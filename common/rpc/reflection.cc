// Tested by reflection_test.cc.
#include "common/rpc/reflection.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/client_context.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/channel_arguments.h"

namespace kedge {
namespace {

constexpr char kMethod[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

class WithoutLibraryReflection : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return dynamic_cast<const grpc::reflection::ProtoServerReflectionPlugin*>(plugin.get()) != nullptr;
    });
  }
};

// One call from outside: requests and answers in turn. Owned by gRPC: lives until OnDone.
class Exchange : public grpc::ServerGenericBidiReactor {
 public:
  // `open`: of all calls; this one is counted as long as it lives.
  Exchange(grpc::GenericStub* stub, std::atomic<int>* open) : stub_(stub), open_(open) {
    if (++*open_ > Reflection::kMostCalls) {
      Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls of reflection are open"});
    } else {
      StartRead(&request_);
    }
  }

 private:
  ~Exchange() override { --*open_; }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (request_.Length() > Reflection::kMostRequest) {
      return Finish({grpc::StatusCode::RESOURCE_EXHAUSTED,
                     absl::StrCat("a reflection request may have ", Reflection::kMostRequest, " bytes")});
    }
    context_.emplace();
    // As if the method were unary: to it one request and its answer are a whole call.
    stub_->UnaryCall(&*context_, kMethod, {}, &request_, &answer_,
                     [this](const grpc::Status& status) { TakeAnswer(status); });
  }
  void TakeAnswer(const grpc::Status& status) {
    if (!status.ok()) return Finish(status);
    // To what is no request of its kind the library answers nothing, and writing that would end the process.
    if (!answer_.Valid()) return Finish({grpc::StatusCode::INVALID_ARGUMENT, "this is no ServerReflectionRequest"});
    StartWrite(&answer_);
  }
  void OnWriteDone(bool ok) override {
    request_.Clear();
    answer_.Clear();
    ok ? StartRead(&request_) : Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

  grpc::GenericStub* const stub_;
  std::atomic<int>* const open_;
  std::optional<grpc::ClientContext> context_;  // of the request at hand
  grpc::ByteBuffer request_;
  grpc::ByteBuffer answer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reflection>> Reflection::Start(const std::vector<grpc::Service*>& services) {
  grpc::ServerBuilder builder;
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::InternalError("gRPC started no server for reflection");
  return std::unique_ptr<Reflection>(new Reflection(std::move(server)));
}

Reflection::Reflection(std::unique_ptr<grpc::Server> server)
    : server_(std::move(server)), stub_([this] {
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(-1);  // a file comes with all that it imports
        return server_->InProcessChannel(arguments);
      }()) {}

Reflection::~Reflection() { server_->Shutdown(); }

std::unique_ptr<grpc::ServerBuilderOption> Reflection::RemoveLibraryReflection() {
  return std::make_unique<WithoutLibraryReflection>();
}

grpc::ServerGenericBidiReactor* Reflection::CreateReactor(grpc::GenericCallbackServerContext* context) {
  if (context->method() != kMethod) return CallbackGenericService::CreateReactor(context);
  return new Exchange(&stub_, &open_);
}

}  // namespace kedge
