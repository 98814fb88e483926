// One thread looks at all links every `interval`, and when a stream's state changes: it opens streams, sends
// heartbeats, runs the callbacks, and decides when to try again. The reactors only note what happened to a stream and
// wake the thread. A stream whose peer takes no heartbeat (a write that is still on its way) is left alone until it
// has: keepalive pings find out whether the peer lives.
//
// Tested by registrar_test.cc.
#include "common/rpc/registrar.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "kedge/node/v1/node.grpc.pb.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

// One try. Owned by its link, which keeps it until `done`. Reactions come from gRPC's threads.
class RegisterStream : public grpc::ClientBidiReactor<node::v1::RegisterRequest, node::v1::RegisterResponse> {
 public:
  RegisterStream(node::v1::RegistryService::Stub* stub, const node::v1::NodeInfo& info, std::function<void()> wake)
      : wake_(std::move(wake)) {
    *request_.mutable_info() = info;
    stub->async()->Register(&context_, this);
    AddHold();  // until Cancel: heartbeats are written from the registrar's thread
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
  }

  // Sends a heartbeat unless the stream is broken. While the last message is still on its way, it is due behind that.
  void SendHeartbeat(const std::function<node::v1::Heartbeat()>& heartbeat) {
    {
      absl::MutexLock lock(&mutex_);
      if (broken_) return;
      is_due_ = writing_;
      if (is_due_) return;
      writing_ = true;
    }
    *request_.mutable_heartbeat() = heartbeat();
    StartWrite(&request_);
  }

  // Ends the stream. REQUIRES: called once, on the thread of SendHeartbeat, which is not called afterwards.
  void End() {
    context_.TryCancel();
    RemoveHold();
  }

  // A heartbeat that had to wait may be sent now.
  bool is_due() const {
    absl::MutexLock lock(&mutex_);
    return is_due_ && !writing_;
  }
  bool accepted() const {
    absl::MutexLock lock(&mutex_);
    return accepted_ && !broken_;
  }
  // The router or the connection has ended the stream: time for End.
  bool broken() const {
    absl::MutexLock lock(&mutex_);
    return broken_;
  }
  absl::Status WaitForEnd() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
    return broken_by_us_.ok() ? status_ : broken_by_us_;
  }
  // From now on it is broken, for this reason.
  void Break(const absl::Status& why) {
    absl::MutexLock lock(&mutex_);
    broken_by_us_ = why;
    broken_ = true;
  }
  // REQUIRES: accepted().
  std::shared_ptr<const grpc::AuthContext> peer() const { return context_.auth_context(); }

 private:
  void OnReadDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      if (ok) accepted_ = true;
      if (!ok) broken_ = true;
    }
    if (ok) StartRead(&response_);  // fails when the stream ends
    wake_();
  }
  void OnWriteDone(bool ok) override {
    bool wake;
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok) broken_ = true;
      wake = is_due_;
    }
    if (wake) wake_();
  }
  void OnDone(const grpc::Status& status) override {
    absl::MutexLock lock(&mutex_);
    status_ = FromGrpcStatus(status);
    done_ = true;  // the link may delete this as soon as the lock is free
  }

  const std::function<void()> wake_;
  grpc::ClientContext context_;
  node::v1::RegisterRequest request_;
  node::v1::RegisterResponse response_;
  mutable absl::Mutex mutex_;
  bool accepted_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;
  bool is_due_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  absl::Status broken_by_us_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

// One router. Owned by the registrar's thread, but for `registered`.
class Registrar::Link {
 public:
  Link(const RegistrarOptions* options, std::string router, std::function<void()> wake)
      : options_(options), router_(std::move(router)), wake_(std::move(wake)), backoff_(options->first_backoff) {}

  // Does what is due; `beat`: it is time for a heartbeat. Returns when it wants to be called again at the latest.
  absl::Time Turn(bool beat) {
    if (stream_ != nullptr && stream_->broken()) EndStream();
    if (stream_ == nullptr) {
      if (SteadyNow() < next_try_) return next_try_;
      // A channel for each try: its connection attempts end with it, and the backoff is ours alone.
      stub_ = node::v1::RegistryService::NewStub(NewChannel(router_, ToMember(options_->member.get(), "")));
      stream_ = std::make_unique<RegisterStream>(stub_.get(), options_->info, wake_);
      return absl::InfiniteFuture();
    }
    if (!stream_->accepted()) return absl::InfiniteFuture();
    if (const absl::Status status = CheckRouter(); !status.ok()) {
      stream_->Break(status);
      return absl::InfinitePast();
    }
    if (!registered()) {
      SetRegistered(true);
      backoff_ = options_->first_backoff;
      last_error_ = absl::OkStatus();
      spdlog::info("registered with the router at {}", router_);
      if (options_->on_registered) options_->on_registered(router_);
      beat = true;
    }
    if (beat || stream_->is_due()) stream_->SendHeartbeat(options_->heartbeat);
    return absl::InfiniteFuture();
  }

  void Stop() {
    if (stream_ == nullptr) return;
    stream_->End();
    stream_->WaitForEnd().IgnoreError();
    stream_ = nullptr;
    SetRegistered(false);
  }

  bool registered() const {
    absl::MutexLock lock(&mutex_);
    return registered_;
  }

 private:
  void SetRegistered(bool registered) {
    absl::MutexLock lock(&mutex_);
    registered_ = registered;
  }

  absl::Status CheckRouter() const {
    if (options_->member == nullptr) return absl::OkStatus();
    const std::shared_ptr<const grpc::AuthContext> router = stream_->peer();
    KEDGE_RETURN_IF_ERROR(options_->member->CheckNotRevoked(*router));
    if (PeerOf(*router).HasRole(MemberRole::kRouter)) return absl::OkStatus();
    return absl::PermissionDeniedError("its certificate has not the role of a router");
  }

  void EndStream() {
    stream_->End();
    absl::Status status = stream_->WaitForEnd();
    stream_ = nullptr;
    if (status.ok()) status = absl::UnavailableError("the router ended the registration");
    const bool was_registered = registered();
    SetRegistered(false);
    if (absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status)) {
      spdlog::error("the router at {} refuses this node: {}", router_, std::string(status.message()));
      next_try_ = SteadyNow() + options_->refused_backoff;
      if (options_->on_refused) options_->on_refused(router_, status);
    } else {
      // The same failure again is no news.
      if (was_registered || status.code() != last_error_.code()) {
        spdlog::warn("not registered with the router at {}: {}; trying again", router_, std::string(status.message()));
      }
      next_try_ = SteadyNow() + backoff_;
      backoff_ = std::min(backoff_ * 2, options_->max_backoff);
    }
    last_error_ = status;
  }

  const RegistrarOptions* const options_;
  const std::string router_;
  const std::function<void()> wake_;
  std::unique_ptr<node::v1::RegistryService::Stub> stub_;
  std::unique_ptr<RegisterStream> stream_;
  absl::Duration backoff_;
  absl::Time next_try_ = absl::InfinitePast();
  absl::Status last_error_;
  mutable absl::Mutex mutex_;
  bool registered_ ABSL_GUARDED_BY(mutex_) = false;
};

Registrar::Registrar(RegistrarOptions options) : options_(std::move(options)) {
  for (const std::string& router : options_.routers) {
    links_.push_back(std::make_unique<Link>(&options_, router, [this] {
      absl::MutexLock lock(&mutex_);
      Wake();
    }));
  }
  thread_ = std::thread([this] { Run(); });
}

Registrar::~Registrar() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    Wake();
  }
  thread_.join();
}

void Registrar::Beat() {
  absl::MutexLock lock(&mutex_);
  beat_ = true;
  Wake();
}

void Registrar::Wake() {
  woken_ = true;
  changed_.SignalAll();
}

int Registrar::registered() const {
  return static_cast<int>(
      std::count_if(links_.begin(), links_.end(), [](const auto& link) { return link->registered(); }));
}

void Registrar::Run() {
  absl::Time next_beat = SteadyNow();
  bool at_once = false;
  for (;;) {
    const bool beat = at_once || SteadyNow() >= next_beat;
    if (beat) next_beat = SteadyNow() + options_.interval;
    absl::Time wake = next_beat;
    for (const std::unique_ptr<Link>& link : links_) wake = std::min(wake, link->Turn(beat));
    absl::MutexLock lock(&mutex_);
    changed_.Await(&mutex_, wake - SteadyNow(), [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return woken_; });
    woken_ = false;
    at_once = std::exchange(beat_, false);
    if (stopping_) break;
  }
  for (const std::unique_ptr<Link>& link : links_) link->Stop();
}

}  // namespace kedge
