// How a decode node's messages that wait for one stream become one.
#ifndef KEDGE_COMMON_RPC_DECODE_MERGE_H_
#define KEDGE_COMMON_RPC_DECODE_MERGE_H_

#include "kedge/node/v1/node.pb.h"

namespace kedge {

// Takes `next` into `last`, which has not been sent yet: tokens that wait for one stream travel together. Returns
// false where the two can't be one message.
bool MergeDecodeResponses(node::v1::DecodeResponse* last, const node::v1::DecodeResponse& next);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_DECODE_MERGE_H_
