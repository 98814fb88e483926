// Work that takes time linear in its input runs on the executor; request and response live until the RPC is done.
//
// Tested by router_test.cc.
#include "router/model_service.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "kedge/inference/v1/model.grpc.pb.h"

namespace kedge {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

class ModelServiceImpl : public inference::v1::ModelService::CallbackService {
 public:
  ModelServiceImpl(const Callers* callers, const RouterModel* model, const RequestParser* parser,
                   const NodeRegistry* registry, Executor* executor)
      : callers_(callers), model_(model), parser_(parser), registry_(registry), executor_(executor) {}

  ServerUnaryReactor* ListModels(CallbackServerContext* context, const inference::v1::ListModelsRequest*,
                                 inference::v1::ListModelsResponse* response) override {
    const absl::Status status = callers_->Identify(*context).status();
    if (status.ok()) response->add_models(model_->name);
    return Answer(context, status);
  }

  ServerUnaryReactor* GetModelInfo(CallbackServerContext* context, const inference::v1::GetModelInfoRequest* request,
                                   inference::v1::GetModelInfoResponse* response) override {
    absl::Status status = callers_->Identify(*context).status();
    if (status.ok()) status = parser_->CheckModel(request->model());
    if (!status.ok()) return Answer(context, status);
    response->set_model(model_->name);
    response->set_fingerprint(registry_->Snapshot().fingerprint);
    response->set_context_length(model_->context_length);
    response->set_vocab_size(model_->vocab_size);
    for (const uint32_t id : model_->tokenizer->end_ids()) response->add_end_token_ids(id);
    if (model_->chat_template != nullptr) {
      response->set_chat_template(model_->chat_template->source());
    } else {
      response->set_chat_template_error(std::string(model_->chat_template_status.message()));
    }
    response->set_default_policy(model_->default_policy);
    response->set_default_max_tokens(model_->default_max_tokens);
    return Answer(context, absl::OkStatus());
  }

  ServerUnaryReactor* Tokenize(CallbackServerContext* context, const inference::v1::TokenizeRequest* request,
                               inference::v1::TokenizeResponse* response) override {
    const absl::Status status = callers_->Identify(*context).status();
    if (!status.ok()) return Answer(context, status);
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    executor_->Post([this, reactor, request, response] {
      const absl::StatusOr<std::vector<uint32_t>> ids = parser_->Tokenize(*request);
      if (ids.ok()) response->mutable_token_ids()->Add(ids->begin(), ids->end());
      reactor->Finish(ToGrpcStatus(ids.status()));
    });
    return reactor;
  }

  ServerUnaryReactor* Detokenize(CallbackServerContext* context, const inference::v1::DetokenizeRequest* request,
                                 inference::v1::DetokenizeResponse* response) override {
    const absl::Status status = callers_->Identify(*context).status();
    if (!status.ok()) return Answer(context, status);
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    executor_->Post([this, reactor, request, response] {
      reactor->Finish(ToGrpcStatus(TextOf(*request, response->mutable_text())));
    });
    return reactor;
  }

 private:
  static ServerUnaryReactor* Answer(CallbackServerContext* context, const absl::Status& status) {
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }

  absl::Status TextOf(const inference::v1::DetokenizeRequest& request, std::string* text) const {
    KEDGE_RETURN_IF_ERROR(parser_->CheckModel(request.model()));
    Detokenizer detokenizer(model_->tokenizer.get(),
                            !request.has_skip_special_tokens() || request.skip_special_tokens(),
                            Detokenizer::Begin::kText);
    for (int i = 0; i < request.token_ids_size(); ++i) {
      if (request.token_ids(i) >= model_->vocab_size) {
        return absl::InvalidArgumentError(absl::StrCat("token_ids[", i, "]: token id ", request.token_ids(i),
                                                       " is out of range; the vocabulary has ", model_->vocab_size));
      }
      *text += detokenizer.Push(request.token_ids(i));
    }
    *text += detokenizer.Finish();
    return absl::OkStatus();
  }

  const Callers* const callers_;
  const RouterModel* const model_;
  const RequestParser* const parser_;
  const NodeRegistry* const registry_;
  Executor* const executor_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewModelService(const Callers* callers, const RouterModel* model,
                                               const RequestParser* parser, const NodeRegistry* registry,
                                               Executor* executor) {
  return std::make_unique<ModelServiceImpl>(callers, model, parser, registry, executor);
}

}  // namespace kedge
