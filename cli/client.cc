// Protos to plain values and back; but for token_*.cc, which `bench router` measures with, the only file of the tool
// that includes gRPC.
//
// Generate always asks for token ids and for the log probability of each: that is cheap, and the JSON form, the time
// to the first token and the counts need them.
//
// Tested by client_test.cc.
#include "cli/client.h"

#include <chrono>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "cli/chat_proto.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/utf8.h"
#include "common/rpc/channel.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "common/tls/membership.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "kedge/inference/v1/cluster.grpc.pb.h"
#include "kedge/inference/v1/inference.grpc.pb.h"
#include "kedge/inference/v1/model.grpc.pb.h"

namespace kedge {
namespace {

namespace v1 = ::kedge::inference::v1;

void SetTimeout(absl::Duration timeout, grpc::ClientContext* context) { context->set_deadline(DeadlineIn(timeout)); }

v1::GenerateRequest ToRequest(const GenerateCall& call) {
  v1::GenerateRequest request;
  request.set_request_id(call.request_id);
  if (const auto* text = std::get_if<std::string>(&call.prompt)) {
    request.set_text(*text);
  } else if (const auto* ids = std::get_if<std::vector<uint32_t>>(&call.prompt)) {
    request.mutable_token_ids()->mutable_ids()->Add(ids->begin(), ids->end());
  } else {
    FillMessages(std::get<Conversation>(call.prompt), request.mutable_messages());
  }
  v1::SamplingParams* sampling = request.mutable_sampling_params();
  sampling->set_temperature(call.temperature);
  if (call.top_p) sampling->set_top_p(*call.top_p);
  if (call.top_k) sampling->set_top_k(*call.top_k);
  if (call.min_p) sampling->set_min_p(*call.min_p);
  if (call.frequency_penalty) sampling->set_frequency_penalty(*call.frequency_penalty);
  if (call.presence_penalty) sampling->set_presence_penalty(*call.presence_penalty);
  if (call.repetition_penalty) sampling->set_repetition_penalty(*call.repetition_penalty);
  if (call.max_tokens) sampling->set_max_tokens(*call.max_tokens);
  if (call.min_tokens) sampling->set_min_tokens(*call.min_tokens);
  if (call.seed) sampling->set_seed(*call.seed);
  for (const std::string& stop : call.stop) sampling->add_stop(stop);
  for (uint32_t id : call.stop_token_ids) sampling->add_stop_token_ids(id);
  if (call.ignore_eos) sampling->set_ignore_eos(true);
  request.mutable_output_options()->set_token_ids(true);
  request.mutable_output_options()->set_logprobs(0);
  request.mutable_output_options()->set_prompt_pieces(call.prompt_pieces);
  request.mutable_cache_options()->set_policy(call.policy);
  request.mutable_cache_options()->set_cache_salt(call.cache_salt);
  for (const Pin& pin : call.pins) {
    v1::PinnedSpan* span = request.mutable_cache_options()->add_pinned();
    if (pin.message.has_value()) {
      span->set_message(*pin.message);
    } else {
      span->mutable_text()->set_begin(pin.begin);
      span->mutable_text()->set_end(pin.end);
    }
  }
  for (const TextSpan& span : call.anchor_spans) {
    v1::TextSpan* added = request.mutable_cache_options()->add_anchor_spans();
    added->set_begin(span.begin);
    added->set_end(span.end);
  }
  return request;
}

std::string FinishReasonName(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return "stop";
    case v1::FINISH_REASON_LENGTH:
      return "length";
    default:
      return absl::StrCat("unknown (", static_cast<int>(reason), ")");
  }
}

std::string RoleName(v1::NodeRole role) {
  switch (role) {
    case v1::NODE_ROLE_PREFILL:
      return "prefill";
    case v1::NODE_ROLE_DECODE:
      return "decode";
    default:
      return absl::StrCat("unknown (", static_cast<int>(role), ")");
  }
}

std::string Metadata(const grpc::ClientContext& context, const char* key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  auto found = trailers.find(key);
  return found == trailers.end() ? "" : Printable(absl::string_view(found->second.data(), found->second.size()));
}

// One message of the stream into the answer so far. Returns the new text.
std::string Merge(const v1::GenerateStreamResponse& message, Answer* answer) {
  std::string text;
  for (const v1::Completion& completion : message.completions()) {
    text += completion.text();
    answer->token_ids.insert(answer->token_ids.end(), completion.token_ids().begin(), completion.token_ids().end());
    for (const v1::TokenLogprobs& token : completion.logprobs()) answer->logprobs.push_back(token.logprob());
    if (completion.finish_reason() == v1::FINISH_REASON_UNSPECIFIED) continue;
    answer->finish_reason = FinishReasonName(completion.finish_reason());
  }
  if (message.has_usage()) {
    const v1::Usage& usage = message.usage();
    answer->prompt_tokens = usage.prompt_tokens();
    answer->completion_tokens = usage.completion_tokens();
    answer->kept_rows = usage.kept_rows();
    answer->held_rows = usage.held_rows();
    answer->adaptive_rows = usage.adaptive_rows();
    answer->cached_tokens = usage.cached_tokens();
    answer->segment_bytes = usage.segment_bytes();
    answer->full_bytes = usage.full_bytes();
  }
  if (message.has_provenance()) {
    answer->policy = Printable(message.provenance().policy());
    for (const v1::TokenRange& range : message.provenance().kept_ranges()) {
      answer->kept_ranges.push_back({range.begin(), range.end()});
    }
  }
  for (const v1::PromptPiece& piece : message.prompt_pieces()) {
    answer->prompt_pieces.push_back({piece.text(), piece.kept()});
  }
  answer->text += text;
  return text;
}

}  // namespace

struct Client::Impl {
  explicit Impl(std::shared_ptr<grpc::Channel> channel)
      : inference(v1::InferenceService::NewStub(channel)),
        models(v1::ModelService::NewStub(channel)),
        cluster(v1::ClusterService::NewStub(channel)),
        health(grpc::health::v1::Health::NewStub(channel)) {}

  void Identify(grpc::ClientContext* context) const {
    if (!authorization.empty()) context->AddMetadata("authorization", authorization);
  }

  std::unique_ptr<v1::InferenceService::Stub> inference;
  std::unique_ptr<v1::ModelService::Stub> models;
  std::unique_ptr<v1::ClusterService::Stub> cluster;
  std::unique_ptr<grpc::health::v1::Health::Stub> health;
  std::shared_ptr<const Membership> member;
  std::string authorization;  // empty: none is sent
  absl::Mutex mutex;
  std::set<grpc::ClientContext*> running ABSL_GUARDED_BY(mutex);
};

Client::Client(const ClientOptions& options) {
  ChannelOptions channel;
  if (!options.authorities.empty()) channel.credentials = TrustingCredentials(options.authorities);
  if (options.member != nullptr) channel = ToMember(options.member.get(), "");
  impl_ = std::make_unique<Impl>(NewChannel(options.address, channel));
  impl_->member = options.member;
  if (!options.key.empty()) impl_->authorization = absl::StrCat("Bearer ", options.key);
}
Client::~Client() = default;

absl::StatusOr<std::string> Client::Health(absl::Duration timeout) {
  grpc::ClientContext context;
  impl_->Identify(&context);
  SetTimeout(timeout, &context);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(v1::InferenceService::service_full_name());
  grpc::health::v1::HealthCheckResponse response;
  KEDGE_RETURN_IF_ERROR(FromGrpcStatus(impl_->health->Check(&context, request, &response)));
  return grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
}

absl::StatusOr<std::vector<NodeStatus>> Client::ListNodes(absl::Duration timeout) {
  grpc::ClientContext context;
  impl_->Identify(&context);
  SetTimeout(timeout, &context);
  v1::ListNodesResponse response;
  KEDGE_RETURN_IF_ERROR(FromGrpcStatus(impl_->cluster->ListNodes(&context, v1::ListNodesRequest(), &response)));
  std::vector<NodeStatus> nodes;
  for (const v1::Node& node : response.nodes()) {
    nodes.push_back({.id = Printable(node.node_id()),
                     .role = RoleName(node.role()),
                     .address = Printable(node.address()),
                     .ready = node.ready(),
                     .numerics_class = Printable(node.numerics_class()),
                     .out = Printable(node.out()),
                     .engine_steps = node.engine_steps(),
                     .running_requests = node.running_requests(),
                     .waiting_requests = node.waiting_requests(),
                     .reserved_rows = node.reserved_rows(),
                     .cached_rows = node.cached_rows(),
                     .held_rows = node.held_rows(),
                     .total_rows = node.total_rows()});
  }
  return nodes;
}

absl::StatusOr<ModelInfo> Client::GetModelInfo(absl::Duration timeout) {
  grpc::ClientContext context;
  impl_->Identify(&context);
  SetTimeout(timeout, &context);
  v1::GetModelInfoResponse response;
  KEDGE_RETURN_IF_ERROR(FromGrpcStatus(impl_->models->GetModelInfo(&context, v1::GetModelInfoRequest(), &response)));
  return ModelInfo{.model = Printable(response.model()),
                   .fingerprint = Printable(response.fingerprint()),
                   .context_length = response.context_length(),
                   .chat_template = response.chat_template(),
                   .chat_template_error = Printable(response.chat_template_error()),
                   .default_policy = Printable(response.default_policy())};
}

absl::StatusOr<Answer> Client::Generate(const GenerateCall& call, const std::function<bool(absl::string_view)>& on_text,
                                        const std::function<bool()>& cancelled) {
  grpc::ClientContext context;
  impl_->Identify(&context);
  if (call.timeout.has_value()) SetTimeout(*call.timeout, &context);
  const absl::Time start = SteadyNow();
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->running.insert(&context);
  }
  if (cancelled()) context.TryCancel();
  std::unique_ptr<grpc::ClientReader<v1::GenerateStreamResponse>> reader =
      impl_->inference->GenerateStream(&context, ToRequest(call));
  Answer answer;
  v1::GenerateStreamResponse message;
  while (reader->Read(&message)) {
    const absl::Duration now = SteadyNow() - start;
    std::string text = Merge(message, &answer);
    answer.token_times.resize(answer.token_ids.size(), now);
    if (!text.empty() && !on_text(text)) context.TryCancel();
  }
  absl::Status status = FromGrpcStatus(reader->Finish());
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->running.erase(&context);
  }
  KEDGE_RETURN_IF_ERROR(status);
  answer.total = SteadyNow() - start;
  answer.first_token = answer.token_times.empty() ? answer.total : answer.token_times.front();
  answer.prefill_node = Metadata(context, "kedge-prefill-node");
  answer.decode_node = Metadata(context, "kedge-decode-node");
  return answer;
}

void Client::Cancel() {
  absl::MutexLock lock(&impl_->mutex);
  for (grpc::ClientContext* context : impl_->running) context->TryCancel();
}

}  // namespace kedge
