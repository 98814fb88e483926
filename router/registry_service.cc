// One reactor for each stream. Its reads come one after another; the one write, the answer to the first message, may be
// under way when the stream ends, and Finish must wait for it.
//
// Tested by router_test.cc.
#include "router/registry_service.h"

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "kedge/node/v1/node.grpc.pb.h"
#include "router/node_info.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

using node::v1::RegisterRequest;
using node::v1::RegisterResponse;

class RegisterReactor : public grpc::ServerBidiReactor<RegisterRequest, RegisterResponse> {
 public:
  explicit RegisterReactor(NodeRegistry* registry) : registry_(registry) { StartRead(&request_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return End(absl::OkStatus());
    const absl::Status status = registration_ == 0 ? TakeInfo() : TakeHeartbeat();
    if (!status.ok()) return End(status);
    StartRead(&request_);
  }

  absl::Status TakeInfo() {
    if (!request_.has_info()) return absl::InvalidArgumentError("info: must be the first message");
    const node::v1::NodeInfo& info = request_.info();
    if (const absl::Status status = CheckNodeInfo(info); !status.ok()) {  // before any of it stands in the log
      spdlog::warn("refused a node: {}", status.ToString());
      return status;
    }
    const absl::StatusOr<uint64_t> registration = registry_->Register(info);
    if (!registration.ok()) {
      spdlog::warn("refused node {} at {}: {}", info.node_id(), info.address(), registration.status().ToString());
      return registration.status();
    }
    registration_ = *registration;
    name_ = absl::StrCat(info.role() == node::v1::ROLE_PREFILL ? "prefill" : "decode", " node ", info.node_id());
    spdlog::info("{} at {} has come", name_, info.address());
    {
      absl::MutexLock lock(&mutex_);
      writing_ = true;
    }
    StartWrite(&response_);
    return absl::OkStatus();
  }

  absl::Status TakeHeartbeat() {
    if (!request_.has_heartbeat()) return absl::InvalidArgumentError("heartbeat: must be every message but the first");
    if (registry_->Heartbeat(registration_, request_.heartbeat())) return absl::OkStatus();
    return absl::AbortedError("another process has registered with this node_id");
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

  // Called once, by a read. Nothing of this is touched after Finish.
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
  RegisterRequest request_;
  RegisterResponse response_;
  uint64_t registration_ = 0;  // owned by the reads, as is name_
  std::string name_;
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

class RegistryServiceImpl : public node::v1::RegistryService::CallbackService {
 public:
  explicit RegistryServiceImpl(NodeRegistry* registry) : registry_(registry) {}

  grpc::ServerBidiReactor<RegisterRequest, RegisterResponse>* Register(grpc::CallbackServerContext*) override {
    return new RegisterReactor(registry_);
  }

 private:
  NodeRegistry* const registry_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewRegistryService(NodeRegistry* registry) {
  return std::make_unique<RegistryServiceImpl>(registry);
}

}  // namespace kedge
