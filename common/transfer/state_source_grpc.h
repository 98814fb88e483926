// StateSource over gRPC: PrefillService.Prefill of the node asked.
#ifndef KEDGE_COMMON_TRANSFER_STATE_SOURCE_GRPC_H_
#define KEDGE_COMMON_TRANSFER_STATE_SOURCE_GRPC_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/transfer/state_source.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace kedge {

// Keeps one channel to each address. Thread-safe. Calls may outlive it.
class GrpcStateSource : public StateSource {
 public:
  std::unique_ptr<StateCall> Fetch(const std::string& address, const StateRequest& request, absl::Time deadline,
                                   OnEvent on_event) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_STATE_SOURCE_GRPC_H_
