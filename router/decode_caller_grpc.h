// Decode calls over gRPC.
#ifndef KEDGE_ROUTER_DECODE_CALLER_GRPC_H_
#define KEDGE_ROUTER_DECODE_CALLER_GRPC_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/tls/membership.h"
#include "router/decode_caller.h"
#include "router/node_registry.h"

namespace kedge {

// One channel for each registration of a node: a node that has restarted gets a fresh one, without the reconnect
// backoff of the old. Channels of nodes that have left go when one for a new node is made. Thread-safe.
class DecodeCallerGrpc : public DecodeCaller {
 public:
  // All must outlive this. `clock` is that of the deadlines. `member` may be null: calls are plain then.
  DecodeCallerGrpc(const NodeRegistry* registry, const Clock* clock, const Membership* member);
  // Waits until all calls have ended. REQUIRES: they end by themselves or were cancelled.
  ~DecodeCallerGrpc() override;

  std::shared_ptr<DecodeCall> Start(const NodeSnapshot& node, node::v1::DecodeRequest request, absl::Time deadline,
                                    DecodeEvents events) override;

  // How many channels are kept.
  size_t num_channels() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Call;
  struct Peer;

  std::shared_ptr<Peer> PeerOf(const NodeSnapshot& node) ABSL_LOCKS_EXCLUDED(mutex_);
  void CallEnded() ABSL_LOCKS_EXCLUDED(mutex_);

  const NodeRegistry* const registry_;
  const Clock* const clock_;
  const Membership* const member_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);  // by registration
  int live_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_DECODE_CALLER_GRPC_H_
