// StateSource over gRPC: PrefillService.Prefill of the node asked.
#ifndef KEDGE_COMMON_TRANSFER_STATE_SOURCE_GRPC_H_
#define KEDGE_COMMON_TRANSFER_STATE_SOURCE_GRPC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/tls/membership.h"
#include "common/transfer/state_source.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace kedge {

// Keeps a channel to each node. Thread-safe.
class GrpcStateSource : public StateSource {
 public:
  static constexpr uint64_t kInFlightBytes = 256 << 20;

  // Both must outlive this. `clock` is the caller's. `member` null: calls are plain; with one, a node must show a
  // certificate for its id. `in_flight_bytes`: of messages that were read and not taken (StateEvent::in_flight). Calls
  // under way share them evenly, and each may have one message beyond its share; the rest waits at its sender.
  GrpcStateSource(const Clock* clock, const Membership* member, uint64_t in_flight_bytes = kInFlightBytes);
  // Waits for the calls' last events. REQUIRES: all StateCalls are gone, so that every call is cancelled or over.
  ~GrpcStateSource() override;

  std::unique_ptr<StateCall> Fetch(const PrefillCandidate& node, const StateRequest& request, absl::Time deadline,
                                   OnEvent on_event) override ABSL_LOCKS_EXCLUDED(mutex_);

  // Calls that have not told their end. Shared with them.
  struct Live;

 private:
  std::shared_ptr<grpc::Channel> ChannelTo(const PrefillCandidate& node) ABSL_LOCKS_EXCLUDED(mutex_);
  // A connection shows the certificates of its beginning for as long as it lives. When one of them is refused, the next
  // call has a new connection, with those that are in the files now.
  void Forget(const grpc::Channel* refused) ABSL_LOCKS_EXCLUDED(mutex_);

  const Clock* const clock_;
  const Membership* const member_;
  const std::shared_ptr<Live> live_;
  absl::Mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_STATE_SOURCE_GRPC_H_
