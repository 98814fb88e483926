// How the router calls decode nodes: an interface, so that a test can be all of the nodes.
#ifndef KEDGE_ROUTER_DECODE_CALLER_H_
#define KEDGE_ROUTER_DECODE_CALLER_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kedge/node/v1/node.pb.h"
#include "router/cluster_snapshot.h"

namespace kedge {

// A call under way. Thread-safe. Letting go of the handle does not end the call.
class DecodeCall {
 public:
  virtual ~DecodeCall() = default;
  // Ends the call at once; `on_done` still comes, with kCancelled or with what came first.
  virtual void Cancel() = 0;
};

struct DecodeEvents {
  // In order, never two at once; on any thread, and perhaps before Start has returned.
  std::function<void(const node::v1::DecodeResponse&)> on_message;
  // Exactly once, the last event.
  std::function<void(const absl::Status&)> on_done;
};

// Names the prefill nodes that the decode node is to ask, best first, in place of those that `request` has.
inline void SetPrefillCandidates(absl::Span<const NodeSnapshot> nodes, node::v1::DecodeRequest* request) {
  request->clear_prefill_candidates();
  for (const NodeSnapshot& node : nodes) {
    node::v1::PrefillCandidate* candidate = request->add_prefill_candidates();
    candidate->set_node_id(node.node_id);
    candidate->set_address(node.address);
  }
}

// Thread-safe.
class DecodeCaller {
 public:
  virtual ~DecodeCaller() = default;
  virtual std::shared_ptr<DecodeCall> Start(const NodeSnapshot& node, node::v1::DecodeRequest request,
                                            absl::Time deadline, DecodeEvents events) = 0;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_DECODE_CALLER_H_
