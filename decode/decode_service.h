// DecodeService over a DecodeEngine: an adapter, without decisions of its own.
#ifndef KEDGE_DECODE_DECODE_SERVICE_H_
#define KEDGE_DECODE_DECODE_SERVICE_H_

#include <string>

#include "common/base/clock.h"
#include "common/base/event_loop.h"
#include "common/tls/membership.h"
#include "decode/decode_engine.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {

// Thread-safe. The engine belongs to the loop's thread.
class DecodeServiceImpl final : public node::v1::DecodeService::CallbackService {
 public:
  // Pointers must outlive this. `clock` is the engine's. `member` says which prefill nodes may be asked: without one
  // (null), those on this machine (CheckPeerAddress). `numerics_class` and `row_bytes` are the device's.
  DecodeServiceImpl(EventLoop* loop, DecodeEngine* engine, const Clock* clock, const Membership* member,
                    std::string numerics_class, uint64_t row_bytes)
      : loop_(loop),
        engine_(engine),
        clock_(clock),
        member_(member),
        numerics_class_(std::move(numerics_class)),
        row_bytes_(row_bytes) {}

  grpc::ServerWriteReactor<node::v1::DecodeResponse>* Decode(grpc::CallbackServerContext* context,
                                                             const node::v1::DecodeRequest* request) override;

 private:
  EventLoop* const loop_;
  DecodeEngine* const engine_;
  const Clock* const clock_;
  const Membership* const member_;
  const std::string numerics_class_;
  const uint64_t row_bytes_;
};

}  // namespace kedge

#endif  // KEDGE_DECODE_DECODE_SERVICE_H_
