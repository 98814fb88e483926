// A server-streaming call on raw bytes: gRPC's generic stub, which knows only bidirectional calls (the wire is the
// same: one message, then the client's half is closed). Tested by tests/node_grpc_test.cc.
#include "common/transfer/state_source_grpc.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "common/rpc/channel.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "common/transfer/state_message.h"
#include "common/transfer/state_request.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"

namespace kedge {

struct GrpcStateSource::Live {
  const uint64_t in_flight_bytes;
  absl::Mutex mutex;
  int calls ABSL_GUARDED_BY(mutex) = 0;

  void Add(int more) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    calls += more;
  }

  // Of what is in flight, for one of the calls.
  uint64_t Share() ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    return in_flight_bytes / static_cast<uint64_t>(std::max(calls, 1));
  }
};

namespace {

constexpr size_t kMaxChannels = 64;  // idle ones of nodes that are long gone must not pile up
constexpr char kMethod[] = "/kedge.node.v1.PrefillService/Prefill";

// Keeps itself alive until OnDone.
class FetchReactor : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  FetchReactor(std::shared_ptr<grpc::Channel> channel, const Membership* member, StateSource::OnEvent on_event,
               std::function<void()> on_refused, std::shared_ptr<GrpcStateSource::Live> live)
      : stub_(std::move(channel)),
        member_(member),
        on_event_(std::move(on_event)),
        on_refused_(std::move(on_refused)),
        live_(std::move(live)) {
    live_->Add(1);
  }

  void Start(const StateRequest& request, std::chrono::system_clock::time_point deadline,
             std::shared_ptr<FetchReactor> self) {
    self_ = std::move(self);
    const grpc::Slice slice(StateRequestToProto(request).SerializeAsString());
    request_ = grpc::ByteBuffer(&slice, 1);
    context_.set_deadline(deadline);
    stub_.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    StartWriteLast(&request_, grpc::WriteOptions());
    AddHold();  // reads may begin on the thread that takes an event
    StartRead(&response_);
    StartCall();
  }

  // Events that come are dropped by who asked; they are read, so that the call ends.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_) {
    context_.TryCancel();
    {
      absl::MutexLock lock(&mutex_);
      is_cancelled_ = true;
    }
    ReadIfPaused();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      RemoveHold();
      return;  // OnDone follows
    }
    absl::StatusOr<StateEvent> event = DecodeStateEvent(std::exchange(response_, {}));
    if (const absl::Status status = CheckNode(); !status.ok()) event = status;
    if (!event.ok()) {
      error_ = event.status();
      Cancel();
    } else if (std::holds_alternative<StateEnded>(event->event)) {
      done_bytes_ = event->wire_bytes;  // the end is told once, with the call's status
      saw_done_ = true;
    } else {
      Deliver(*std::move(event));
    }
    {
      absl::MutexLock lock(&mutex_);
      is_paused_ = true;
    }
    ReadIfPaused();
  }

  void Deliver(StateEvent event) ABSL_LOCKS_EXCLUDED(mutex_) {
    const uint64_t bytes = event.wire_bytes;
    {
      absl::MutexLock lock(&mutex_);
      untaken_ += bytes;
    }
    event.in_flight = std::shared_ptr<const void>(nullptr, [self = self_, bytes](const void*) {
      {
        absl::MutexLock lock(&self->mutex_);
        self->untaken_ -= bytes;
      }
      self->ReadIfPaused();
    });
    on_event_(std::move(event));
  }

  // Unless what was read waits to be taken. gRPC may tell the end of the read before StartRead returns.
  void ReadIfPaused() ABSL_LOCKS_EXCLUDED(mutex_) {
    const uint64_t share = live_->Share();
    {
      absl::MutexLock lock(&mutex_);
      if (!is_paused_ || (untaken_ > share && !is_cancelled_)) return;
      is_paused_ = false;
    }
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status end = !error_.ok() ? error_ : FromGrpcStatus(status);
    if (end.ok() && !saw_done_) end = absl::DataLossError("prefill response: the stream ended without done");
    if (absl::IsPermissionDenied(end)) on_refused_();
    on_event_({StateEnded{std::move(end)}, done_bytes_});
    live_->Add(-1);
    self_.reset();
  }

  absl::Status CheckNode() const {
    return member_ == nullptr ? absl::OkStatus() : member_->CheckNotRevoked(*context_.auth_context());
  }

  grpc::GenericStub stub_;
  const Membership* const member_;
  const StateSource::OnEvent on_event_;
  const std::function<void()> on_refused_;  // before the last event
  const std::shared_ptr<GrpcStateSource::Live> live_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  absl::Status error_;
  uint64_t done_bytes_ = 0;
  bool saw_done_ = false;
  absl::Mutex mutex_;
  uint64_t untaken_ ABSL_GUARDED_BY(mutex_) = 0;    // bytes of events that were told
  bool is_paused_ ABSL_GUARDED_BY(mutex_) = false;  // no read is under way, and the stream has not ended
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<FetchReactor> self_;
};

class GrpcStateCall : public StateCall {
 public:
  explicit GrpcStateCall(std::shared_ptr<FetchReactor> reactor) : reactor_(std::move(reactor)) {}
  ~GrpcStateCall() override { reactor_->Cancel(); }

 private:
  std::shared_ptr<FetchReactor> reactor_;
};

}  // namespace

GrpcStateSource::GrpcStateSource(const Clock* clock, const Membership* member, uint64_t in_flight_bytes)
    : clock_(clock), member_(member), live_(std::make_shared<Live>(in_flight_bytes)) {}

GrpcStateSource::~GrpcStateSource() {
  absl::MutexLock lock(&live_->mutex);
  live_->mutex.Await(absl::Condition(
      +[](Live* live) ABSL_EXCLUSIVE_LOCKS_REQUIRED(live->mutex) { return live->calls == 0; }, live_.get()));
}

std::shared_ptr<grpc::Channel> GrpcStateSource::ChannelTo(const PrefillCandidate& node) {
  const std::pair<std::string, std::string> key(node.node_id, node.address);
  absl::MutexLock lock(&mutex_);
  if (channels_.size() >= kMaxChannels && !channels_.contains(key)) channels_.clear();  // live calls hold theirs
  std::shared_ptr<grpc::Channel>& channel = channels_[key];
  // A broken connection waits before it tries again; a new channel does not, and the node may be back.
  if (channel == nullptr || channel->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
    channel = NewChannel(node.address, ToMember(member_, node.node_id));
  }
  return channel;
}

void GrpcStateSource::Forget(const grpc::Channel* refused) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(channels_, [refused](const auto& entry) { return entry.second.get() == refused; });
}

std::unique_ptr<StateCall> GrpcStateSource::Fetch(const PrefillCandidate& node, const StateRequest& request,
                                                  absl::Time deadline, OnEvent on_event) {
  std::shared_ptr<grpc::Channel> channel = ChannelTo(node);
  std::function<void()> on_refused = [this, refused = channel.get()] { Forget(refused); };
  auto reactor = std::make_shared<FetchReactor>(std::move(channel), member_, std::move(on_event),
                                                std::move(on_refused), live_);
  reactor->Start(request, DeadlineTo(deadline, *clock_), reactor);
  return std::make_unique<GrpcStateCall>(std::move(reactor));
}

}  // namespace kedge
