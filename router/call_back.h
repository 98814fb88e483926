// The router's first question to a node that wants to join.
#ifndef KEDGE_ROUTER_CALL_BACK_H_
#define KEDGE_ROUTER_CALL_BACK_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/tls/membership.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {

// A call back takes no longer.
inline constexpr absl::Duration kCallBackLimit = absl::Seconds(2);

// Asks at the address that the node has told whether a node of its role serves there, over a connection of its own;
// with a membership, the certificate there must name the node. `done` gets OK or why not, once, on a thread of gRPC.
// Thread-safe. `member` may be null and must outlive the call.
void CallBack(const node::v1::NodeInfo& info, const Membership* member, std::function<void(const absl::Status&)> done);

}  // namespace kedge

#endif  // KEDGE_ROUTER_CALL_BACK_H_
