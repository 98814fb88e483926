// The service only takes calls in; all writing is done by the thread of Send. A call that breaks off takes no more
// messages (StreamWriter drops them), and its caller knows why.
//
// Tested by token_node_test.cc.
#include "cli/token_node.h"

#include <atomic>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/decode_merge.h"
#include "common/rpc/protocol.h"
#include "common/rpc/registrar.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "common/rpc/stream_writer.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {
namespace {

using node::v1::DecodeResponse;
using Writer = StreamWriter<DecodeResponse>;

// Thread-safe.
class TokenService final : public node::v1::DecodeService::CallbackService {
 public:
  grpc::ServerWriteReactor<DecodeResponse>* Decode(grpc::CallbackServerContext*,
                                                   const node::v1::DecodeRequest* request) override {
    auto writer = Writer::Create({.on_cancel = nullptr, .merge = MergeDecodeResponses});
    uint32_t number = 0;
    if (!absl::SimpleAtoi(request->request_id(), &number)) {
      writer->End(ToGrpcStatus(absl::InvalidArgumentError("request_id: must be the number of the stream")));
      return writer.get();
    }
    DecodeResponse prefilled;
    prefilled.mutable_prefilled()->set_numerics_class("none");
    writer->Write(std::move(prefilled));
    absl::MutexLock lock(&mutex_);
    streams_[number] = writer;
    came_.SignalAll();
    return writer.get();
  }

  absl::StatusOr<std::vector<std::shared_ptr<Writer>>> Take(uint32_t streams, absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    const auto all_there = [this, streams]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return streams_.size() == streams && streams_.rbegin()->first == streams - 1;
    };
    if (!came_.Await(&mutex_, timeout, all_there)) {
      return absl::DeadlineExceededError(absl::StrCat(streams_.size(), " of ", streams, " streams have come"));
    }
    std::vector<std::shared_ptr<Writer>> writers;
    for (auto& [number, writer] : streams_) writers.push_back(std::move(writer));
    streams_.clear();
    return writers;
  }

 private:
  absl::Mutex mutex_;
  SteadyCondVar came_;
  std::map<uint32_t, std::shared_ptr<Writer>> streams_ ABSL_GUARDED_BY(mutex_);  // that have come
};

// It computes nothing that others of its class, of whom there are none, could compare.
class AnswerService final : public node::v1::KnownAnswerService::Service {
 public:
  grpc::Status Answer(grpc::ServerContext*, const node::v1::KnownAnswerRequest*,
                      node::v1::KnownAnswerResponse* response) override {
    response->set_hash("none");
    return grpc::Status::OK;
  }
};

DecodeResponse TokenMessage(uint32_t index, uint32_t id) {
  DecodeResponse message;
  message.set_first_index(index);
  message.add_tokens()->set_id(id);
  return message;
}

}  // namespace

struct TokenNode::Impl {
  std::vector<uint32_t> ids;
  const Clock* clock = nullptr;
  TokenService service;
  AnswerService answers;
  std::unique_ptr<RpcServer> server;
  std::vector<std::shared_ptr<Writer>> streams;  // of the present work
  std::atomic<uint64_t> turns = 0;
  std::unique_ptr<Registrar> registrar;  // goes first
};

TokenNode::TokenNode(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenNode::~TokenNode() = default;

absl::StatusOr<std::unique_ptr<TokenNode>> TokenNode::Start(std::vector<uint32_t> ids, const Clock* clock) {
  auto impl = std::make_unique<Impl>();
  impl->ids = std::move(ids);
  impl->clock = clock;
  KEDGE_ASSIGN_OR_RETURN(impl->server, RpcServer::Start({.listen = "127.0.0.1:0",
                                                         .services = {&impl->service, &impl->answers},
                                                         .health_services = {kDecodeServiceName}}));
  impl->server->SetServing(kDecodeServiceName, true);
  return std::unique_ptr<TokenNode>(new TokenNode(std::move(impl)));
}

const std::string& TokenNode::address() const { return impl_->server->address(); }

void TokenNode::Register(const std::string& router, const std::string& fingerprint) {
  RegistrarOptions options{.routers = {router}};
  options.info.set_protocol_version(kProtocolVersion);
  options.info.set_node_id("tokens");
  options.info.set_role(node::v1::ROLE_DECODE);
  options.info.set_address(address());
  options.info.set_fingerprint(fingerprint);
  options.info.set_numerics_class("none");
  options.info.set_kv_type("f16");
  options.heartbeat = [turns = &impl_->turns] {
    node::v1::Heartbeat heartbeat;
    heartbeat.set_engine_turns(++*turns);  // this engine is never stuck
    return heartbeat;
  };
  impl_->registrar = std::make_unique<Registrar>(std::move(options));
}

absl::Status TokenNode::WaitForStreams(uint32_t streams, absl::Duration timeout) {
  KEDGE_ASSIGN_OR_RETURN(impl_->streams, impl_->service.Take(streams, timeout));
  return absl::OkStatus();
}

absl::StatusOr<TokenTimes> TokenNode::Send(uint32_t tokens, absl::Duration interval,
                                           const std::function<bool()>& cancelled) {
  KEDGE_CHECK(tokens <= impl_->ids.size());
  const std::vector<std::shared_ptr<Writer>> streams = std::move(impl_->streams);
  TokenTimes written(streams.size());
  for (std::vector<absl::Time>& times : written) times.reserve(tokens);
  const absl::Time begin = impl_->clock->Now();
  for (uint32_t token = 0; token < tokens; ++token) {
    if (cancelled()) return absl::CancelledError("stopped by a signal");
    absl::SleepFor(begin + token * interval - impl_->clock->Now());
    for (size_t i = 0; i < streams.size(); ++i) {
      written[i].push_back(impl_->clock->Now());
      streams[i]->Write(TokenMessage(token, impl_->ids[token]));
    }
  }
  for (const std::shared_ptr<Writer>& stream : streams) {
    DecodeResponse finished;
    finished.mutable_finished()->set_reason(node::v1::END_REASON_LENGTH);
    stream->Write(std::move(finished));
    stream->End(grpc::Status::OK);
  }
  return written;
}

}  // namespace kedge
