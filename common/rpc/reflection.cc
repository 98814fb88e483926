#include "common/rpc/reflection.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/channel_arguments.h"
#include "grpcpp/support/client_callback.h"

namespace kedge {
namespace {

using grpc::ByteBuffer;

constexpr char kMethod[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

class WithoutLibrarys : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    const std::string name = grpc::reflection::ProtoServerReflectionPlugin().name();
    std::erase_if(*plugins, [&](const auto& plugin) { return plugin->name() == name; });
  }
};

// One call: a request passes from the caller to the server inside, its response back, then comes the next. So one
// operation at most is under way, and whatever fails is the last of them; then `inner_` is let go, ends, and gives its
// status to the caller. Owned by gRPC: lives until OnDone.
class Exchange : public grpc::ServerGenericBidiReactor {
 public:
  explicit Exchange(grpc::GenericStub* stub) : inner_(this) {
    stub->PrepareBidiStreamingCall(&context_, kMethod, {}, &inner_);
    inner_.AddHold();
    inner_.StartCall();
    StartRead(&request_);
  }

 private:
  class Inner : public grpc::ClientBidiReactor<ByteBuffer, ByteBuffer> {
   public:
    explicit Inner(Exchange* outer) : outer_(outer) {}

    void OnWriteDone(bool ok) override { ok ? StartRead(&outer_->response_) : RemoveHold(); }
    void OnReadDone(bool ok) override { ok ? outer_->StartWrite(&outer_->response_) : RemoveHold(); }
    void OnDone(const grpc::Status& status) override { outer_->Finish(status); }

   private:
    Exchange* const outer_;
  };

  void OnReadDone(bool ok) override {
    if (ok) {
      inner_.StartWrite(&request_);
      return;
    }
    inner_.StartWritesDone();
    inner_.RemoveHold();
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      StartRead(&request_);
      return;
    }
    context_.TryCancel();
    inner_.RemoveHold();
  }
  void OnCancel() override { context_.TryCancel(); }
  void OnDone() override { delete this; }

  grpc::ClientContext context_;
  Inner inner_;
  ByteBuffer request_;
  ByteBuffer response_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reflection>> Reflection::Start(const std::vector<grpc::Service*>& services) {
  // Explicit: the static initializer that would do it is lost when the linker drops unused libraries.
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMostRequest);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::InternalError("gRPC started no server for reflection");
  return std::unique_ptr<Reflection>(new Reflection(std::move(server)));
}

Reflection::Reflection(std::unique_ptr<grpc::Server> server)
    : server_(std::move(server)), stub_([this] {
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(-1);  // files with all that they import
        return server_->InProcessChannel(arguments);
      }()) {}

Reflection::~Reflection() { server_->Shutdown(); }

std::unique_ptr<grpc::ServerBuilderOption> Reflection::InsteadOfTheLibrarys() {
  return std::make_unique<WithoutLibrarys>();
}

grpc::ServerGenericBidiReactor* Reflection::CreateReactor(grpc::GenericCallbackServerContext* context) {
  if (context->method() != kMethod) return CallbackGenericService::CreateReactor(context);
  return new Exchange(&stub_);
}

}  // namespace kedge
