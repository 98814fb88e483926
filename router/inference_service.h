// InferenceService over gRPC: an adapter between RPCs and request flows.
#ifndef KEDGE_ROUTER_INFERENCE_SERVICE_H_
#define KEDGE_ROUTER_INFERENCE_SERVICE_H_

#include <memory>

#include "absl/time/time.h"
#include "router/callers.h"
#include "router/request_flow.h"
#include "router/request_intake.h"
#include "router/request_parser.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace kedge {

// Each RPC is parsed on a thread of the intake and then lives as a RequestFlow; its cancellation cancels the flow.
// Thread-safe.
class InferenceService {
 public:
  // All must outlive this.
  InferenceService(const Callers* callers, const RequestParser* parser, const FlowEnvironment* environment,
                   RequestIntake* intake);
  // REQUIRES: the server has shut down.
  ~InferenceService();

  grpc::Service* service();

  // From now on new requests get kUnavailable.
  void StartDraining();
  // Waits until no request lives; returns whether that came true in time.
  bool WaitUntilIdle(absl::Duration timeout);
  // Ends all that live with this status.
  void EndAll(const absl::Status& reason);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_INFERENCE_SERVICE_H_
