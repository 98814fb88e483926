// The one place where gRPC's errors become Kedge's, and back. Codes map one to one; what common/base/error_reason.h
// knows of an error travels in its details (protos/kedge/inference/v1/error.proto).
#ifndef KEDGE_COMMON_RPC_STATUS_H_
#define KEDGE_COMMON_RPC_STATUS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace grpc {
class ServerContextBase;
}  // namespace grpc

namespace kedge {

// Messages travel in metadata, which clients bound (8 KiB by default): longer ones are cut at a character. In both
// directions they become one printable line (PrintableLine): they may repeat what came from outside.
inline constexpr size_t kMaxStatusMessage = 1024;

grpc::Status ToGrpcStatus(const absl::Status& status);
// For the end of a client's call: one that may be made again says when in a trailer too, which gRPC's own retries heed.
// To be called before the call's Finish.
grpc::Status ToGrpcStatus(const absl::Status& status, grpc::ServerContextBase* context);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_STATUS_H_
