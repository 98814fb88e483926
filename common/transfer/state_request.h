// A StateRequest as the PrefillRequest that asks for it.
#ifndef KEDGE_COMMON_TRANSFER_STATE_REQUEST_H_
#define KEDGE_COMMON_TRANSFER_STATE_REQUEST_H_

#include "absl/status/statusor.h"
#include "common/transfer/state_source.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {

node::v1::PrefillRequest StateRequestToProto(const StateRequest& request);

// kInvalidArgument names the field. What depends on the model and the node is PrefillEngine's to check.
absl::StatusOr<StateRequest> StateRequestFromProto(const node::v1::PrefillRequest& proto);

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_STATE_REQUEST_H_
