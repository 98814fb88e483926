// StateEvent to the bytes of a PrefillResponse, and back, without a copy of the rows into a message: the payload is the
// last field on the wire, so it is appended to, and cut out of, the buffer.
#ifndef KEDGE_COMMON_TRANSFER_STATE_MESSAGE_H_
#define KEDGE_COMMON_TRANSFER_STATE_MESSAGE_H_

#include "absl/status/statusor.h"
#include "common/transfer/state_source.h"
#include "grpcpp/support/byte_buffer.h"

namespace kedge {

// StateEnded becomes Done; its status is the call's.
grpc::ByteBuffer EncodeStateEvent(const StateEvent& event);

// kInternal: not a PrefillResponse, no event in it, or a payload that is not its last field.
absl::StatusOr<StateEvent> DecodeStateEvent(grpc::ByteBuffer buffer);

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_STATE_MESSAGE_H_
