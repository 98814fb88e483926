// What a node may say of itself when it registers.
#ifndef KEDGE_ROUTER_NODE_INFO_H_
#define KEDGE_ROUTER_NODE_INFO_H_

#include "absl/status/status.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {

// kInvalidArgument names the field that is missing, malformed or too long; nothing of it may stand in a log before.
// kFailedPrecondition: another protocol version, of which nothing else is known.
absl::Status CheckNodeInfo(const node::v1::NodeInfo& info);
// Of a heartbeat: no time that it tells is more than a day.
absl::Status CheckHeartbeat(const node::v1::Heartbeat& heartbeat);

}  // namespace kedge

#endif  // KEDGE_ROUTER_NODE_INFO_H_
