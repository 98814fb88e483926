// Work that takes time linear in its input runs on the intake's threads; a call that is cancelled while it waits there
// goes at once.
//
// Tested by router_test.cc and router_nodes_test.cc.
#include "router/model_service.h"

#include <cstdint>
#include <functional>
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
using inference::v1::DetokenizeRequest;
using inference::v1::DetokenizeResponse;
using inference::v1::GetModelInfoRequest;
using inference::v1::GetModelInfoResponse;
using inference::v1::ListModelsRequest;
using inference::v1::ListModelsResponse;
using inference::v1::TokenizeRequest;
using inference::v1::TokenizeResponse;

// One call that reads its bytes on the intake's threads. Owned by gRPC: lives until OnDone.
template <typename Request, typename Response>
class ReadingCall : public ServerUnaryReactor {
 public:
  // Answers the request.
  using Answer = std::function<absl::Status(const Request&, Response*)>;

  ReadingCall(const Callers* callers, RequestIntake* intake, CallbackServerContext* context,
              const grpc::ByteBuffer* request, grpc::ByteBuffer* response, Answer answer)
      : intake_(intake),
        context_(context),
        bytes_(TakeBytes(request)),
        response_(response),
        answer_(std::move(answer)) {
    if (const absl::Status status = callers->Identify(*context).status(); !status.ok()) {
      End(status);
      return;
    }
    const uint64_t size = bytes_.Length();
    absl::StatusOr<ByteBudget::Hold> hold = intake_->budget.Admit(size);
    if (!hold.ok()) {
      End(hold.status());
      return;
    }
    hold_ = *std::move(hold);
    const absl::Status queued = intake_->queue.Post({this, size, /*generates=*/false, [this] { End(Read()); }});
    if (!queued.ok()) End(queued);
  }

 private:
  absl::Status Read() {
    KEDGE_RETURN_IF_ERROR(hold_.Resize(kReadingFactor * bytes_.Length()));
    Request request;
    KEDGE_RETURN_IF_ERROR(ReadRequest(intake_->limits, std::exchange(bytes_, {}), &request));
    Response response;
    KEDGE_RETURN_IF_ERROR(answer_(request, &response));
    *response_ = ToBytes(response);
    return absl::OkStatus();
  }

  // The last that touches this.
  void End(const absl::Status& status) { Finish(ToGrpcStatus(status, context_)); }

  void OnCancel() override {
    if (intake_->queue.Drop(this)) End(absl::CancelledError("the client has gone, or its deadline has passed"));
  }
  void OnDone() override { delete this; }

  RequestIntake* const intake_;
  CallbackServerContext* const context_;
  grpc::ByteBuffer bytes_;  // until they are parsed
  ByteBudget::Hold hold_;
  grpc::ByteBuffer* const response_;
  const Answer answer_;
};

// All are raw: without a key nobody has more read than metadata, and a message of 16 MiB of fields that nobody knows
// would take ten times as much.
using PublicService = inference::v1::ModelService;
using RawService = PublicService::WithRawCallbackMethod_Tokenize<
    PublicService::WithRawCallbackMethod_Detokenize<PublicService::WithRawCallbackMethod_ListModels<
        PublicService::WithRawCallbackMethod_GetModelInfo<PublicService::Service>>>>;

class ModelServiceImpl : public RawService {
 public:
  ModelServiceImpl(const Callers* callers, const RouterModel* model, const RequestParser* parser,
                   const NodeRegistry* registry, RequestIntake* intake)
      : callers_(callers), model_(model), parser_(parser), registry_(registry), intake_(intake) {}

  ServerUnaryReactor* ListModels(CallbackServerContext* context, const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override {
    return new ReadingCall<ListModelsRequest, ListModelsResponse>(
        callers_, intake_, context, request, response, [this](const ListModelsRequest&, ListModelsResponse* models) {
          models->add_models(model_->name);
          return absl::OkStatus();
        });
  }

  ServerUnaryReactor* GetModelInfo(CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return new ReadingCall<GetModelInfoRequest, GetModelInfoResponse>(
        callers_, intake_, context, request, response,
        [this](const GetModelInfoRequest& asked, GetModelInfoResponse* info) {
          KEDGE_RETURN_IF_ERROR(parser_->CheckModel(asked.model()));
          Describe(info);
          return absl::OkStatus();
        });
  }

  ServerUnaryReactor* Tokenize(CallbackServerContext* context, const grpc::ByteBuffer* request,
                               grpc::ByteBuffer* response) override {
    return new ReadingCall<TokenizeRequest, TokenizeResponse>(
        callers_, intake_, context, request, response,
        [this](const TokenizeRequest& tokenize, TokenizeResponse* tokens) {
          KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> ids, parser_->Tokenize(tokenize));
          tokens->mutable_token_ids()->Add(ids.begin(), ids.end());
          return absl::OkStatus();
        });
  }

  ServerUnaryReactor* Detokenize(CallbackServerContext* context, const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override {
    return new ReadingCall<DetokenizeRequest, DetokenizeResponse>(
        callers_, intake_, context, request, response,
        [this](const DetokenizeRequest& detokenize, DetokenizeResponse* text) {
          return TextOf(detokenize, text->mutable_text());
        });
  }

 private:
  void Describe(GetModelInfoResponse* info) const {
    info->set_model(model_->name);
    info->set_fingerprint(registry_->fingerprint());
    info->set_context_length(model_->context_length);
    info->set_vocab_size(model_->vocab_size);
    for (const uint32_t id : model_->tokenizer->end_ids()) info->add_end_token_ids(id);
    if (model_->chat_template != nullptr) {
      info->set_chat_template(model_->chat_template->source());
    } else {
      info->set_chat_template_error(std::string(model_->chat_template_status.message()));
    }
    info->set_default_policy(model_->readable_default_policy);
    info->set_default_max_tokens(model_->default_max_tokens);
  }

  absl::Status TextOf(const DetokenizeRequest& request, std::string* text) const {
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
      if (text->size() > kMaxTextBytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("token_ids: up to token_ids[", i, "] they are more than ", kMaxTextBytes, " bytes of text"));
      }
    }
    *text += detokenizer.Finish();
    return absl::OkStatus();
  }

  const Callers* const callers_;
  const RouterModel* const model_;
  const RequestParser* const parser_;
  const NodeRegistry* const registry_;
  RequestIntake* const intake_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewModelService(const Callers* callers, const RouterModel* model,
                                               const RequestParser* parser, const NodeRegistry* registry,
                                               RequestIntake* intake) {
  return std::make_unique<ModelServiceImpl>(callers, model, parser, registry, intake);
}

}  // namespace kedge
