// Both libraries number the codes of google.rpc.Code alike, so a cast is the whole map; what is left is the length of
// the message.
//
// Tested by status_test.cc.
#include "common/rpc/status.h"

#include "common/base/utf8.h"

namespace kedge {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      PrintableLine(status.message(), kMaxStatusMessage));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      PrintableLine(status.error_message(), kMaxStatusMessage));
}

}  // namespace kedge
