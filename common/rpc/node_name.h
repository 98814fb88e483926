// What nodes call themselves and one another: checked before it stands in a log, in metadata or in a listing.
#ifndef KEDGE_COMMON_RPC_NODE_NAME_H_
#define KEDGE_COMMON_RPC_NODE_NAME_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kedge {

// kInvalidArgument names `field` unless `name` has 1 to 128 printable ASCII characters without space and comma: node
// ids, numerics classes.
absl::Status CheckNodeName(absl::string_view name, absl::string_view field);

// kInvalidArgument names `field` unless it is HOST:PORT (ParseReachable) of at most 256 bytes. No other target of
// gRPC's passes, such as "unix:...".
absl::Status CheckNodeAddress(absl::string_view address, absl::string_view field);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_NODE_NAME_H_
