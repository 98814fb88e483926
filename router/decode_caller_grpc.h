// Decode calls over gRPC.
#ifndef KEDGE_ROUTER_DECODE_CALLER_GRPC_H_
#define KEDGE_ROUTER_DECODE_CALLER_GRPC_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "router/decode_caller.h"

namespace kedge {

// One channel for each registration of a node: a node that has restarted gets a fresh one, without the reconnect
// backoff of the old. Thread-safe.
class DecodeCallerGrpc : public DecodeCaller {
 public:
  DecodeCallerGrpc();
  // Waits until all calls have ended. REQUIRES: they end by themselves or were cancelled.
  ~DecodeCallerGrpc() override;

  std::shared_ptr<DecodeCall> Start(const NodeSnapshot& node, node::v1::DecodeRequest request, absl::Time deadline,
                                    DecodeEvents events) override;

 private:
  class Call;
  struct Peer;

  std::shared_ptr<Peer> PeerOf(const NodeSnapshot& node) ABSL_LOCKS_EXCLUDED(mutex_);
  void CallEnded() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);  // by address
  int live_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_DECODE_CALLER_GRPC_H_
