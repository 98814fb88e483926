// PrefillService over a PrefillEngine: an adapter, without decisions of its own.
#ifndef KEDGE_PREFILL_PREFILL_SERVICE_H_
#define KEDGE_PREFILL_PREFILL_SERVICE_H_

#include "common/base/event_loop.h"
#include "kedge/node/v1/node.grpc.pb.h"
#include "prefill/prefill_engine.h"

namespace kedge {

// The method is raw: states are sent as bytes that refer to their frames (common/transfer/state_message.h).
// Thread-safe. The engine belongs to the loop's thread.
class PrefillServiceImpl final
    : public node::v1::PrefillService::WithRawCallbackMethod_Prefill<node::v1::PrefillService::Service> {
 public:
  // Both must outlive this.
  PrefillServiceImpl(EventLoop* loop, PrefillEngine* engine) : loop_(loop), engine_(engine) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Prefill(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request) override;

 private:
  EventLoop* const loop_;
  PrefillEngine* const engine_;
};

}  // namespace kedge

#endif  // KEDGE_PREFILL_PREFILL_SERVICE_H_
