// A reader is one client. Both kinds do the same but for what they ask and how they count tokens: reading one message
// after another on gRPC's threads, and noting the time.
//
// Tested by token_node_test.cc and, through a router, by tests/bench_test.py.
#include "cli/token_readers.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "kedge/inference/v1/inference.grpc.pb.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {
namespace {

using inference::v1::GenerateRequest;
using inference::v1::GenerateStreamResponse;
using node::v1::DecodeRequest;
using node::v1::DecodeResponse;

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr uint32_t kPromptId = 1;  // of the prompt's only token, which nobody reads

// The router's side of the two.
struct RouterWay {
  using Request = GenerateRequest;
  using Response = GenerateStreamResponse;
  using Service = inference::v1::InferenceService;

  static Request MakeRequest(uint32_t number, uint32_t tokens) {
    Request request;
    request.set_request_id(absl::StrCat(number));
    request.mutable_token_ids()->add_ids(kPromptId);
    request.mutable_sampling_params()->set_max_tokens(tokens);
    request.mutable_sampling_params()->set_ignore_eos(true);
    return request;
  }
  static void Call(Service::Stub* stub, grpc::ClientContext* context, const Request* request,
                   grpc::ClientReadReactor<Response>* reactor) {
    stub->async()->GenerateStream(context, request, reactor);
  }
  // How many tokens have come with this message; `read_bytes` of text had come before.
  static absl::StatusOr<uint32_t> Count(const GivenAnswer& answer, uint32_t before, const Response& message,
                                        size_t* read_bytes) {
    if (message.completions().empty()) return before;
    const size_t begin = *read_bytes;
    const std::string& piece = message.completions(0).text();
    *read_bytes += piece.size();
    return answer.TokensShown(begin, piece);
  }
};

struct NodeWay {
  using Request = DecodeRequest;
  using Response = DecodeResponse;
  using Service = node::v1::DecodeService;

  static Request MakeRequest(uint32_t number, uint32_t tokens) {
    Request request;
    request.set_request_id(absl::StrCat(number));
    request.mutable_content()->add_ids(kPromptId);
    request.mutable_sampling()->set_max_tokens(tokens);
    return request;
  }
  static void Call(Service::Stub* stub, grpc::ClientContext* context, const Request* request,
                   grpc::ClientReadReactor<Response>* reactor) {
    stub->async()->Decode(context, request, reactor);
  }
  static absl::StatusOr<uint32_t> Count(const GivenAnswer& answer, uint32_t before, const Response& message, size_t*) {
    for (int i = 0; i < message.tokens_size(); ++i) {
      const size_t place = before + static_cast<size_t>(i);
      if (place >= answer.ids().size() || message.tokens(i).id() != answer.ids()[place]) {
        return absl::DataLossError(absl::StrCat("the answer's token ", place, " is wrong"));
      }
    }
    return before + static_cast<uint32_t>(message.tokens_size());
  }
};

// One client's answer.
template <typename Way>
class Reader : public grpc::ClientReadReactor<typename Way::Response> {
 public:
  Reader(typename Way::Service::Stub* stub, uint32_t number, uint32_t tokens, absl::Duration timeout,
         const GivenAnswer* answer, const Clock* clock)
      : answer_(answer), clock_(clock), tokens_(tokens), request_(Way::MakeRequest(number, tokens)) {
    times_.reserve(tokens);
    context_.set_deadline(DeadlineIn(timeout));
    Way::Call(stub, &context_, &request_, this);
    this->StartRead(&message_);
    this->StartCall();
  }

  void Cancel() { context_.TryCancel(); }

  // Adds what was read to `all`.
  absl::Status Wait(ReadTokens* all) {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
    KEDGE_RETURN_IF_ERROR(damage_);
    KEDGE_RETURN_IF_ERROR(status_);
    if (times_.size() != tokens_) {
      return absl::DataLossError(absl::StrCat("an answer of ", tokens_, " tokens ended after ", times_.size()));
    }
    all->times.push_back(std::move(times_));
    all->messages += messages_;
    return absl::OkStatus();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;  // OnDone follows
    const absl::Time now = clock_->Now();
    const auto before = static_cast<uint32_t>(times_.size());
    const absl::StatusOr<uint32_t> count = Way::Count(*answer_, before, message_, &read_bytes_);
    if (count.ok()) {
      times_.resize(*count, now);
      if (*count > before) ++messages_;
    } else if (damage_.ok()) {
      damage_ = count.status();
      context_.TryCancel();
    }
    this->StartRead(&message_);
  }
  void OnDone(const grpc::Status& status) override {
    absl::MutexLock lock(&mutex_);
    status_ = FromGrpcStatus(status);
    done_ = true;  // who waits may delete this as soon as the lock is free
  }

  const GivenAnswer* const answer_;
  const Clock* const clock_;
  const uint32_t tokens_;
  const typename Way::Request request_;
  grpc::ClientContext context_;
  // Owned by the reads until done_.
  typename Way::Response message_;
  std::vector<absl::Time> times_;
  uint64_t messages_ = 0;
  size_t read_bytes_ = 0;
  absl::Status damage_;
  absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

template <typename Way>
class ReadersOf : public TokenReaders {
 public:
  ReadersOf(const std::string& address, uint32_t clients, const GivenAnswer* answer, const Clock* clock)
      : answer_(answer), clock_(clock) {
    for (uint32_t i = 0; i < clients; ++i) {
      const std::shared_ptr<grpc::Channel> channel = NewChannel(address, {.own_connection = true});
      // One after another: hundreds at once keep each other from being ready in time. A failure shows in the call.
      channel->WaitForConnected(DeadlineIn(kConnectTimeout));
      stubs_.push_back(Way::Service::NewStub(channel));
    }
  }
  ~ReadersOf() override {
    for (const auto& reader : readers_) reader->Cancel();
    Wait().IgnoreError();
  }

  void Ask(uint32_t tokens, absl::Duration timeout) override {
    for (uint32_t i = 0; i < stubs_.size(); ++i) {
      readers_.push_back(std::make_unique<Reader<Way>>(stubs_[i].get(), i, tokens, timeout, answer_, clock_));
    }
  }

  absl::StatusOr<ReadTokens> Wait() override {
    ReadTokens all;
    absl::Status status;
    for (const auto& reader : readers_) status.Update(reader->Wait(&all));
    readers_.clear();
    KEDGE_RETURN_IF_ERROR(status);
    return all;
  }

 private:
  const GivenAnswer* const answer_;
  const Clock* const clock_;
  std::vector<std::unique_ptr<typename Way::Service::Stub>> stubs_;  // of each client
  std::vector<std::unique_ptr<Reader<Way>>> readers_;
};

}  // namespace

std::unique_ptr<TokenReaders> ReadersOfRouter(const std::string& address, uint32_t clients, const GivenAnswer* answer,
                                              const Clock* clock) {
  return std::make_unique<ReadersOf<RouterWay>>(address, clients, answer, clock);
}

std::unique_ptr<TokenReaders> ReadersOfNode(const std::string& address, uint32_t clients, const GivenAnswer* answer,
                                            const Clock* clock) {
  return std::make_unique<ReadersOf<NodeWay>>(address, clients, answer, clock);
}

}  // namespace kedge
