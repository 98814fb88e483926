// PrefillService over a StateServer: an adapter, without decisions of its own.
#ifndef KEDGE_COMMON_TRANSFER_PREFILL_SERVICE_H_
#define KEDGE_COMMON_TRANSFER_PREFILL_SERVICE_H_

#include "common/base/clock.h"
#include "common/base/event_loop.h"
#include "common/transfer/state_server.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {

// The method is raw: states are sent as bytes that refer to their frames (common/transfer/state_message.h).
// Thread-safe. The server belongs to the loop's thread.
class PrefillServiceImpl final
    : public node::v1::PrefillService::WithRawCallbackMethod_Prefill<node::v1::PrefillService::Service> {
 public:
  // All must outlive this. `clock` is the server's.
  PrefillServiceImpl(EventLoop* loop, StateServer* server, const Clock* clock)
      : loop_(loop), server_(server), clock_(clock) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Prefill(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request) override;

 private:
  EventLoop* const loop_;
  StateServer* const server_;
  const Clock* const clock_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_PREFILL_SERVICE_H_
