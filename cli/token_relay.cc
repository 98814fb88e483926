// Tested by token_node_test.cc.
#include "cli/token_relay.h"

#include <utility>

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/decode_merge.h"
#include "common/rpc/server.h"
#include "common/rpc/stream_writer.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {
namespace {

using node::v1::DecodeRequest;
using node::v1::DecodeResponse;

// One call, from the node's side. Deletes itself at its end.
class RelayedCall : public grpc::ClientReadReactor<DecodeResponse> {
 public:
  // Returns what answers the client.
  static grpc::ServerWriteReactor<DecodeResponse>* Begin(node::v1::DecodeService::Stub* stub,
                                                         const DecodeRequest& request) {
    auto* const call = new RelayedCall(request);
    auto writer = StreamWriter<DecodeResponse>::Create(
        {.on_cancel = [context = call->context_] { context->TryCancel(); }, .merge = MergeDecodeResponses});
    call->writer_ = writer;
    stub->async()->Decode(call->context_.get(), &call->request_, call);
    call->StartRead(&call->message_);
    call->StartCall();
    return writer.get();
  }

 private:
  explicit RelayedCall(const DecodeRequest& request) : request_(request) {}

  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone follows
    writer_->Write(std::move(message_));
    message_.Clear();  // a moved-from message is valid but unspecified
    StartRead(&message_);
  }
  void OnDone(const grpc::Status& status) override {
    writer_->End(status);
    delete this;
  }

  const DecodeRequest request_;
  const std::shared_ptr<grpc::ClientContext> context_ = std::make_shared<grpc::ClientContext>();
  std::shared_ptr<StreamWriter<DecodeResponse>> writer_;
  DecodeResponse message_;
};

class RelayService final : public node::v1::DecodeService::CallbackService {
 public:
  explicit RelayService(const std::string& node)
      : stub_(node::v1::DecodeService::NewStub(NewChannel(node, {.own_connection = true}))) {}

  grpc::ServerWriteReactor<DecodeResponse>* Decode(grpc::CallbackServerContext*,
                                                   const DecodeRequest* request) override {
    return RelayedCall::Begin(stub_.get(), *request);
  }

 private:
  const std::unique_ptr<node::v1::DecodeService::Stub> stub_;
};

}  // namespace

struct TokenRelay::Impl {
  explicit Impl(const std::string& node) : service(node) {}

  RelayService service;
  std::unique_ptr<RpcServer> server;
};

TokenRelay::TokenRelay(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenRelay::~TokenRelay() = default;

absl::StatusOr<std::unique_ptr<TokenRelay>> TokenRelay::Start(const std::string& node) {
  auto impl = std::make_unique<Impl>(node);
  KEDGE_ASSIGN_OR_RETURN(impl->server, RpcServer::Start({.listen = "127.0.0.1:0", .services = {&impl->service}}));
  return std::unique_ptr<TokenRelay>(new TokenRelay(std::move(impl)));
}

const std::string& TokenRelay::address() const { return impl_->server->address(); }

}  // namespace kedge
