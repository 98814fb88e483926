// One reactor for each stream. Its reads come one after another; the one write, the answer to the first message, may be
// under way when the stream ends, and Finish must wait for it.
//
// Tested by router_nodes_test.cc.
#include "router/registry_service.h"

#include <string>

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

class RegisterReactor : public grpc::ServerBidiReactor<RegisterRequest, RegisterResponse> {
 public:
  RegisterReactor(NodeRegistry* registry, const Membership* member, grpc::CallbackServerContext* context)
      : registry_(registry), member_(member), context_(context) {
    StartRead(&request_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return End(absl::OkStatus());
    if (registration_ == 0) return TakeInfo();
    const absl::Status status = TakeHeartbeat();
    if (!status.ok()) return End(status);
    StartRead(&request_);
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
      StartRead(&request_);
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
      if (!ended_) return;
      status = status_;
    }
    Finish(status);
  }

  // Called once, by a read or by the call back. Nothing of this is touched after Finish.
  void End(const absl::Status& status) {
    if (registration_ != 0) {
      registry_->Remove(registration_);
      spdlog::info("{} has gone", name_);
    }
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
      status_ = ToGrpcStatus(status);
      if (writing_) return;  // OnWriteDone goes on
    }
    Finish(ToGrpcStatus(status));
  }

  void OnDone() override { delete this; }

  NodeRegistry* const registry_;
  const Membership* const member_;
  grpc::CallbackServerContext* const context_;
  RegisterRequest request_;
  RegisterResponse response_;
  uint64_t registration_ = 0;  // owned by the reads, as is name_
  std::string name_ = "a node";
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

class RegistryServiceImpl : public node::v1::RegistryService::CallbackService {
 public:
  RegistryServiceImpl(NodeRegistry* registry, const Membership* member) : registry_(registry), member_(member) {}

  grpc::ServerBidiReactor<RegisterRequest, RegisterResponse>* Register(grpc::CallbackServerContext* context) override {
    return new RegisterReactor(registry_, member_, context);
  }

 private:
  NodeRegistry* const registry_;
  const Membership* const member_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewRegistryService(NodeRegistry* registry, const Membership* member) {
  return std::make_unique<RegistryServiceImpl>(registry, member);
}

}  // namespace kedge
