// An Exchange is one RPC: it takes the request's bytes, has them parsed, owns the flow and is its sink. The methods are
// raw: bytes are bounded before they are parsed, and let go of when they have been. Its two kinds differ in what
// becomes of messages: GenerateStream writes one at a time, and merges those that come meanwhile into the next;
// Generate merges them all. Both end with exactly one Finish, after which gRPC may delete them at any moment: each
// method that may bring that about does so with its last statement.
//
// Tested by router_test.cc.
#include "router/inference_service.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "common/base/error_reason.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/deadline.h"
#include "common/rpc/request_id.h"
#include "common/rpc/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "kedge/inference/v1/inference.grpc.pb.h"
#include "router/response_merge.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

using inference::v1::GenerateRequest;
using inference::v1::GenerateResponse;
using inference::v1::GenerateStreamResponse;

// A client that lets so much pile up does not read. (gRPC itself takes a few MiB more before writes are slow.)
constexpr size_t kMaxPendingBytes = 4 << 20;

constexpr size_t kMaxMetadataId = 1024;  // longer ones are refused by the parser

constexpr char kClientGone[] = "the client has gone, or its deadline has passed";

std::string RequestIdOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(kRequestIdMetadata);
  if (found == context.client_metadata().end()) return "";
  return std::string(found->second.data(), found->second.size());
}

}  // namespace

// What ends an RPC's request: a reason to, and the flow, once there is one. Thread-safe. It may outlive both.
class RequestEnd {
 public:
  // The request must end, for the first reason that is given. Not under a lock: the RPC may be gone when this returns.
  void Set(const absl::Status& reason) {
    std::shared_ptr<RequestFlow> flow;
    absl::Status first;
    {
      absl::MutexLock lock(&mutex_);
      if (reason_.ok()) reason_ = reason;
      first = reason_;
      flow = flow_;
    }
    if (flow != nullptr) flow->Cancel(first);
  }
  // OK as long as it need not.
  absl::Status reason() {
    absl::MutexLock lock(&mutex_);
    return reason_;
  }
  // From now on Set() ends this flow. Returns reason().
  absl::Status SetFlow(std::shared_ptr<RequestFlow> flow) {
    absl::MutexLock lock(&mutex_);
    flow_ = std::move(flow);
    return reason_;
  }

 private:
  absl::Mutex mutex_;
  absl::Status reason_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<RequestFlow> flow_ ABSL_GUARDED_BY(mutex_);
};

using RawService = inference::v1::InferenceService::WithRawCallbackMethod_Generate<
    inference::v1::InferenceService::WithRawCallbackMethod_GenerateStream<inference::v1::InferenceService::Service>>;

class InferenceService::Impl : public RawService {
 public:
  Impl(const Callers* callers, const RequestParser* parser, const FlowEnvironment* environment, RequestIntake* intake)
      : callers_(callers), parser_(parser), environment_(environment), intake_(intake) {}

  grpc::ServerUnaryReactor* Generate(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerateStream(grpc::CallbackServerContext* context,
                                                             const grpc::ByteBuffer* request) override;

  // An RPC begins; returns false if it must be refused. Ended() follows in both cases.
  bool Began(const std::shared_ptr<RequestEnd>& rpc) {
    absl::MutexLock lock(&mutex_);
    live_.insert(rpc);
    return !draining_;
  }
  void Ended(const std::shared_ptr<RequestEnd>& rpc) {
    absl::MutexLock lock(&mutex_);
    live_.erase(rpc);
    changed_.SignalAll();
  }
  void StartDraining() {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
  }
  bool WaitUntilIdle(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    return changed_.Await(&mutex_, timeout, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return live_.empty(); });
  }
  void EndAll(const absl::Status& reason) {
    LiveRpcs live;
    {
      absl::MutexLock lock(&mutex_);
      live = live_;
    }
    for (const std::shared_ptr<RequestEnd>& rpc : live) rpc->Set(reason);
  }

  const Callers* const callers_;
  const RequestParser* const parser_;
  const FlowEnvironment* const environment_;
  RequestIntake* const intake_;

 private:
  using LiveRpcs = std::set<std::shared_ptr<RequestEnd>>;

  absl::Mutex mutex_;
  SteadyCondVar changed_;
  LiveRpcs live_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

namespace {

// What both kinds of RPC share. Owned by gRPC: lives until OnDone.
template <typename Service>
class Exchange : public ResponseSink {
 public:
  Exchange(Service* service, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request)
      : context_(context),
        service_(service),
        bytes_(TakeBytes(request)),
        arrival_(service->environment_->clock->Now()) {}

  // The last statement of the derived constructor.
  void Begin() {
    // Chosen before anything else: a refusal carries it too. A malformed one is the parser's to refuse.
    grpc::ProtoBufferReader reader(&bytes_);
    const std::string own_id = EarlyString(GenerateRequest::kRequestIdFieldNumber, &reader, kMaxMetadataId);
    if (absl::StatusOr<std::string> id = ChooseRequestId(own_id, RequestIdOf(*context_)); id.ok()) {
      request_id_ = *std::move(id);
      context_->AddInitialMetadata(kRequestIdMetadata, request_id_);
    }
    const bool is_open = service_->Began(end_);
    absl::StatusOr<Caller> caller = service_->callers_->Identify(*context_);
    if (!caller.ok()) return FinishRpc(caller.status());
    tenant_ = std::move(caller->tenant);
    if (!is_open) {
      return FinishRpc(Refusal(absl::UnavailableError("the server is shutting down"), kShuttingDown, absl::Seconds(1)));
    }
    const uint64_t size = bytes_.Length();
    absl::StatusOr<ByteBudget::Hold> hold = service_->intake_->budget.Admit(size);
    if (!hold.ok()) return FinishRpc(hold.status());
    hold_ = *std::move(hold);
    const absl::Status queued =
        service_->intake_->queue.Post({this, size, /*generates=*/true, [this] { ParseAndStart(); }});
    if (!queued.ok()) FinishRpc(queued);
  }

  void Finish(const absl::Status& status, const ServedBy& served_by) final {
    if (!served_by.prefill_nodes.empty()) {
      context_->AddTrailingMetadata("kedge-prefill-node", absl::StrJoin(served_by.prefill_nodes, ","));
    }
    if (!served_by.decode_nodes.empty()) {
      context_->AddTrailingMetadata("kedge-decode-node", absl::StrJoin(served_by.decode_nodes, ","));
    }
    if (status.ok()) {
      spdlog::debug("request {}: done", request_id_);
    } else {
      spdlog::info("request {}: {}", request_id_, status.ToString());
    }
    FinishRpc(status);
  }

 protected:
  // Sends the initial metadata; a call that ends before sends them with its status.
  virtual void SendMetadata() = 0;
  // Delivers what is pending and ends the RPC; called once.
  virtual void FinishRpc(const absl::Status& status) = 0;

  // The RPC was cancelled, or its deadline has passed.
  void CancelFlow() {
    end_->Set(absl::CancelledError(kClientGone));
    if (service_->intake_->queue.Drop(this)) FinishRpc(end_->reason());
  }
  // Ends the flow with `reason`.
  void EndFlow(const absl::Status& reason) { end_->Set(reason); }
  // Counts `bytes` of the answer that wait beside the request. Not OK: there is no memory for them. One call at a time.
  absl::Status HoldAnswer(uint64_t bytes) { return hold_.Resize(request_bytes_ + bytes); }
  // OnCancel follows.
  void CancelRpc() { context_->TryCancel(); }
  void Ended() { service_->Ended(end_); }

  grpc::CallbackServerContext* const context_;

 private:
  void ParseAndStart() {
    if (absl::Status reason = end_->reason(); !reason.ok()) return FinishRpc(reason);
    absl::StatusOr<RouterRequest> parsed = Parse();
    if (!parsed.ok()) return FinishRpc(parsed.status());
    // Its ids, and those of each completion's call: as they are, and as bytes.
    request_bytes_ = parsed->prompt_ids.size() * sizeof(uint32_t) * (1 + 2 * parsed->n);
    if (const absl::Status status = HoldAnswer(0); !status.ok()) return FinishRpc(status);
    SendMetadata();
    const absl::Time deadline = DeadlineFrom(context_->deadline(), *service_->environment_->clock);
    const std::shared_ptr<RequestFlow> flow =
        RequestFlow::Create(service_->environment_, *std::move(parsed), arrival_, deadline, this);
    if (absl::Status reason = end_->SetFlow(flow); !reason.ok()) return flow->Cancel(reason);
    flow->Start();
  }

  // Nothing but what it returns is left of the bytes.
  absl::StatusOr<RouterRequest> Parse() {
    KEDGE_RETURN_IF_ERROR(hold_.Resize(kReadingFactor * bytes_.Length()));
    GenerateRequest request;
    KEDGE_RETURN_IF_ERROR(ReadRequest(service_->intake_->limits, std::exchange(bytes_, {}), &request));
    return service_->parser_->Parse(request, request_id_.empty() ? RequestIdOf(*context_) : request_id_, tenant_);
  }

  Service* const service_;
  grpc::ByteBuffer bytes_;  // until they are parsed
  ByteBudget::Hold hold_;
  uint64_t request_bytes_ = 0;  // of `hold_`, what is no answer
  const absl::Time arrival_;
  std::string request_id_;  // empty if the client's was malformed
  std::string tenant_;
  const std::shared_ptr<RequestEnd> end_ = std::make_shared<RequestEnd>();
};

template <typename Service>
class UnaryExchange : public Exchange<Service>, public grpc::ServerUnaryReactor {
 public:
  UnaryExchange(Service* service, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                grpc::ByteBuffer* response)
      : Exchange<Service>(service, context, request), response_(response) {
    this->Begin();
  }

  void Message(GenerateStreamResponse message) override {
    merged_bytes_ += message.ByteSizeLong();
    MergeResponse(std::move(message), &merged_);
    if (const absl::Status status = this->HoldAnswer(merged_bytes_); !status.ok()) this->EndFlow(status);
  }

 private:
  void SendMetadata() override { StartSendInitialMetadata(); }

  void FinishRpc(const absl::Status& status) override {
    if (status.ok()) {
      GenerateResponse response;
      response.set_request_id(merged_.request_id());
      response.set_model(merged_.model());
      response.mutable_completions()->Swap(merged_.mutable_completions());
      std::sort(response.mutable_completions()->begin(), response.mutable_completions()->end(),
                [](const auto& a, const auto& b) { return a.index() < b.index(); });
      response.mutable_usage()->Swap(merged_.mutable_usage());
      response.mutable_timings()->Swap(merged_.mutable_timings());
      response.mutable_provenance()->Swap(merged_.mutable_provenance());
      response.mutable_prompt_pieces()->Swap(merged_.mutable_prompt_pieces());
      *response_ = ToBytes(response);
    }
    grpc::ServerUnaryReactor::Finish(ToGrpcStatus(status, this->context_));
  }

  void OnCancel() override { this->CancelFlow(); }
  void OnDone() override {
    this->Ended();
    delete this;
  }

  grpc::ByteBuffer* const response_;
  GenerateStreamResponse merged_;
  uint64_t merged_bytes_ = 0;
};

template <typename Service>
class StreamExchange : public Exchange<Service>, public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  StreamExchange(Service* service, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request)
      : Exchange<Service>(service, context, request) {
    this->Begin();
  }

  void Message(GenerateStreamResponse message) override {
    bool too_slow = false;
    {
      absl::MutexLock lock(&write_mutex_);
      if (broken_) return;
      if (writing_) {
        pending_bytes_ += message.ByteSizeLong();
        MergeResponse(std::move(message), &pending_);
        if (pending_bytes_ <= kMaxPendingBytes && this->HoldAnswer(pending_bytes_).ok()) return;
        too_slow = broken_ = true;
      } else {
        writing_ = true;
        current_ = ToBytes(message);
      }
    }
    // A status would have to wait behind the data that the client does not read.
    if (too_slow) return this->CancelRpc();
    StartWrite(&current_);
  }

 private:
  void SendMetadata() override { StartSendInitialMetadata(); }

  void FinishRpc(const absl::Status& status) override {
    {
      absl::MutexLock lock(&write_mutex_);
      final_status_ = ToGrpcStatus(status, this->context_);
      finishing_ = true;
      if (writing_) return;  // OnWriteDone ends the RPC
    }
    grpc::ServerWriteReactor<grpc::ByteBuffer>::Finish(final_status_);
  }

  void OnWriteDone(bool ok) override {
    bool write = false;
    bool finish = false;
    {
      absl::MutexLock lock(&write_mutex_);
      if (!ok) broken_ = true;
      write = pending_bytes_ > 0 && !broken_;
      finish = finishing_;
      if (write) {
        current_ = ToBytes(pending_);
        pending_.Clear();
        pending_bytes_ = 0;
        (void)this->HoldAnswer(0);  // less: always OK
      } else {
        writing_ = false;
      }
    }
    if (write && finish) return StartWriteAndFinish(&current_, grpc::WriteOptions(), final_status_);
    if (write) return StartWrite(&current_);
    if (finish) grpc::ServerWriteReactor<grpc::ByteBuffer>::Finish(final_status_);
  }

  void OnCancel() override { this->CancelFlow(); }
  void OnDone() override {
    this->Ended();
    delete this;
  }

  absl::Mutex write_mutex_;
  grpc::ByteBuffer current_;  // being written while writing_
  bool writing_ ABSL_GUARDED_BY(write_mutex_) = false;
  GenerateStreamResponse pending_ ABSL_GUARDED_BY(write_mutex_);
  size_t pending_bytes_ ABSL_GUARDED_BY(write_mutex_) = 0;
  bool broken_ ABSL_GUARDED_BY(write_mutex_) = false;  // nothing more can or should be written
  bool finishing_ ABSL_GUARDED_BY(write_mutex_) = false;
  grpc::Status final_status_;  // written once, before finishing_
};

}  // namespace

grpc::ServerUnaryReactor* InferenceService::Impl::Generate(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  return new UnaryExchange<Impl>(this, context, request, response);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* InferenceService::Impl::GenerateStream(grpc::CallbackServerContext* context,
                                                                                   const grpc::ByteBuffer* request) {
  return new StreamExchange<Impl>(this, context, request);
}

InferenceService::InferenceService(const Callers* callers, const RequestParser* parser,
                                   const FlowEnvironment* environment, RequestIntake* intake)
    : impl_(std::make_unique<Impl>(callers, parser, environment, intake)) {}

InferenceService::~InferenceService() = default;

grpc::Service* InferenceService::service() { return impl_.get(); }

void InferenceService::StartDraining() { impl_->StartDraining(); }

void InferenceService::EndAll(const absl::Status& reason) { impl_->EndAll(reason); }

bool InferenceService::WaitUntilIdle(absl::Duration timeout) { return impl_->WaitUntilIdle(timeout); }

}  // namespace kedge
