// Names of requests: what a client chose, or a random UUID.
#ifndef KEDGE_COMMON_RPC_REQUEST_ID_H_
#define KEDGE_COMMON_RPC_REQUEST_ID_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

inline constexpr char kRequestIdMetadata[] = "x-request-id";

// kInvalidArgument unless 1 to 128 printable ASCII characters. The message begins with `field`.
absl::Status CheckRequestId(absl::string_view id, absl::string_view field);

// A random UUID (version 4).
std::string NewRequestId();

// The request's id: its field if set, else that of the metadata, else a new one.
absl::StatusOr<std::string> ChooseRequestId(absl::string_view field, absl::string_view metadata);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_REQUEST_ID_H_
