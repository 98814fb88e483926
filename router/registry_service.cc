// One reactor for each stream. Its reads come one after another; the one write, the answer to the first message, may be
// under way when the stream ends, and Finish must wait for it. A stream is ended by what was read, by the call back,
// or, while a read is under way, by a timer, which may outlive the stream.
//
// Tested by registry_service_test.cc and router_nodes_test.cc.
#include "router/registry_service.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/rpc/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "kedge/node/v1/node.grpc.pb.h"
#include "router/node_info.h"
#include "router/call_back.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

using node::v1::RegisterRequest;
using node::v1::RegisterResponse;

MemberRole RoleOf(const node::v1::NodeInfo& info) {
  return info.role() == node::v1::ROLE_PREFILL ? MemberRole::kPrefill : MemberRole::kDecode;
}

// A silence must be found twice, with this between: who stood still itself finds all others silent when it goes on.
constexpr absl::Duration kSecondLook = absl::Seconds(1);

// What the streams of a service share.
struct Streams {
  NodeRegistry* const registry;
  const Membership* const member;
  const Clock* const clock;
  Executor* const timers;
  const RegistryServiceOptions options;
  std::atomic<size_t> count = 0;
};

class RegisterReactor : public grpc::ServerBidiReactor<RegisterRequest, RegisterResponse> {
 public:
  RegisterReactor(Streams* streams, grpc::CallbackServerContext* context)
      : streams_(streams), registry_(streams->registry), member_(streams->member), context_(context) {
    if (++streams_->count > streams_->options.max_streams) {
      End(absl::ResourceExhaustedError("as many nodes register as may do so at once (--max-nodes of the router)"));
      return;
    }
    Read();
    LookAfter(streams_->timers, handle_, streams_->options.first_message_limit);
  }

 private:
  // What a timer knows of a stream.
  struct Handle {
    absl::Mutex mutex;
    RegisterReactor* reactor ABSL_GUARDED_BY(mutex);  // null: it has ended
  };

  static void LookAfter(Executor* timers, const std::shared_ptr<Handle>& handle, absl::Duration delay) {
    timers->PostAfter(delay, [timers, handle] {
      RegisterReactor* silent = nullptr;
      absl::Duration next;
      {
        absl::MutexLock lock(&handle->mutex);
        if (handle->reactor == nullptr) return;
        next = handle->reactor->Look();
        if (next <= absl::ZeroDuration()) silent = handle->reactor;
      }
      if (silent == nullptr) return LookAfter(timers, handle, next);
      // It lives: nobody but who has ended it calls Finish.
      silent->Leave(absl::DeadlineExceededError("nothing was heard of the node for too long"));
    });
  }

  // Returns when to look again; 0: it was silent for too long, and is ended now, so that the caller must Leave.
  absl::Duration Look() {
    absl::MutexLock lock(&mutex_);
    const RegistryServiceOptions& limits = streams_->options;
    if (ended_ || !reading_) return limits.first_message_limit;
    const absl::Duration limit = registration_ == 0 ? limits.first_message_limit : limits.silence_limit;
    const absl::Duration left = read_time_ + limit - streams_->clock->Now();
    if (left > absl::ZeroDuration()) return left;
    if (!std::exchange(is_late_, true)) return kSecondLook;
    ended_ = true;
    return absl::ZeroDuration();
  }

  void Read() {
    {
      absl::MutexLock lock(&mutex_);
      reading_ = true;
      is_late_ = false;
      read_time_ = streams_->clock->Now();
    }
    request_ = RegisterRequest();  // nothing of the last one stays
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      reading_ = false;
      if (ended_) return;  // by a timer
    }
    if (!ok) return End(absl::OkStatus());
    if (registration_ == 0) return TakeInfo();
    const absl::Status status = TakeHeartbeat();
    if (!status.ok()) return End(status);
    Read();
  }

  // Nothing is read until the node has been called back.
  void TakeInfo() {
    if (!request_.has_info()) return End(absl::InvalidArgumentError("info: must be the first message"));
    absl::Status status = CheckNodeInfo(request_.info());  // before any of it stands in the log
    if (!status.ok()) return Refuse(status);
    name_ = absl::StrCat("node ", request_.info().node_id(), " at ", request_.info().address());
    status = CheckIdentity(request_.info());
    if (status.ok()) status = registry_->Check(request_.info());
    if (!status.ok()) return Refuse(status);
    CallBack(request_.info(), member_, [this](const absl::Status& status) {
      const absl::Status taken = status.ok() ? TakeIn(request_.info()) : status;
      if (!taken.ok()) return Refuse(taken);
      Read();
    });
  }

  absl::Status CheckIdentity(const node::v1::NodeInfo& info) const {
    KEDGE_RETURN_IF_ERROR(CheckPeerAddress("address", info.address(), member_));
    if (member_ == nullptr) return absl::OkStatus();
    const Peer peer = PeerOf(*context_->auth_context());
    if (!peer.HasName(info.node_id())) {
      return absl::PermissionDeniedError(absl::StrCat("node_id: the node's certificate names ",
                                                      absl::StrJoin(peer.names, ", "), ", and not ", info.node_id()));
    }
    if (!peer.HasRole(RoleOf(info))) {
      return absl::PermissionDeniedError(
          absl::StrCat("role: the certificate is none of a ", MemberRoleName(RoleOf(info)), " node"));
    }
    return absl::OkStatus();
  }

  absl::Status TakeIn(const node::v1::NodeInfo& info) {
    KEDGE_ASSIGN_OR_RETURN(registration_, registry_->Register(info));
    name_ = absl::StrCat(MemberRoleName(RoleOf(info)), " node ", info.node_id());
    spdlog::info("{} at {} has come", name_, info.address());
    {
      absl::MutexLock lock(&mutex_);
      writing_ = true;
    }
    StartWrite(&response_);
    return absl::OkStatus();
  }

  void Refuse(const absl::Status& status) {
    spdlog::warn("refused {}: {}", name_, std::string(status.message()));
    End(status);
  }

  absl::Status TakeHeartbeat() {
    if (!request_.has_heartbeat()) return absl::InvalidArgumentError("heartbeat: must be every message but the first");
    if (member_ != nullptr) {
      if (const absl::Status status = member_->CheckNotRevoked(*context_->auth_context()); !status.ok()) {
        registry_->Expel(registration_);
        return status;
      }
    }
    return registry_->Heartbeat(registration_, request_.heartbeat());
  }

  void OnWriteDone(bool) override {
    grpc::Status status;
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!left_) return;
      status = status_;
    }
    Finish(status);
  }

  // By a read or by the call back, of which one at most runs.
  void End(const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    Leave(status);
  }

  // Called once, by who has ended it. Nothing of this is touched after Finish.
  void Leave(const absl::Status& status) {
    if (registration_ != 0) {
      registry_->Remove(registration_);
      spdlog::info("{} has gone{}{}", name_, status.ok() ? "" : ": ", std::string(status.message()));
    }
    {
      absl::MutexLock lock(&mutex_);
      left_ = true;
      status_ = ToGrpcStatus(status);
      if (writing_) return;  // OnWriteDone goes on
    }
    Finish(ToGrpcStatus(status));
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&handle_->mutex);
      handle_->reactor = nullptr;
    }
    --streams_->count;
    delete this;
  }

  Streams* const streams_;
  NodeRegistry* const registry_;
  const Membership* const member_;
  grpc::CallbackServerContext* const context_;
  RegisterRequest request_;
  RegisterResponse response_;
  uint64_t registration_ = 0;  // owned by the reads, as is name_; a timer sees them while one is under way
  std::string name_ = "a node";
  const std::shared_ptr<Handle> handle_{new Handle{.reactor = this}};
  absl::Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time read_time_ ABSL_GUARDED_BY(mutex_);  // when it began to wait
  bool is_late_ ABSL_GUARDED_BY(mutex_) = false;  // at the last look
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // somebody is about to Leave
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

class RegistryServiceImpl : public node::v1::RegistryService::CallbackService {
 public:
  RegistryServiceImpl(NodeRegistry* registry, const Membership* member, const Clock* clock, Executor* timers,
                      const RegistryServiceOptions& options)
      : streams_{registry, member, clock, timers, options} {}

  grpc::ServerBidiReactor<RegisterRequest, RegisterResponse>* Register(grpc::CallbackServerContext* context) override {
    return new RegisterReactor(&streams_, context);
  }

 private:
  Streams streams_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewRegistryService(NodeRegistry* registry, const Membership* member, const Clock* clock,
                                                  Executor* timers, const RegistryServiceOptions& options) {
  return std::make_unique<RegistryServiceImpl>(registry, member, clock, timers, options);
}

}  // namespace kedge
