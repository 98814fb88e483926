// Joins messages of a stream.
#ifndef KEDGE_ROUTER_RESPONSE_MERGE_H_
#define KEDGE_ROUTER_RESPONSE_MERGE_H_

#include "kedge/inference/v1/inference.pb.h"

namespace kedge {

// Appends `next` to `message`, which afterwards says what both said: a client that reads slowly gets fewer and larger
// messages, and a unary call gets one.
void MergeResponse(inference::v1::GenerateStreamResponse next, inference::v1::GenerateStreamResponse* message);

}  // namespace kedge

#endif  // KEDGE_ROUTER_RESPONSE_MERGE_H_
