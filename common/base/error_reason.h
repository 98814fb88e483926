// What an absl::Status says besides its code and message: the reason, as a word that programs can compare, the field
// that is wrong, and when the same may be tried again. Kept as payloads of the status; common/rpc/status.h sends them.
#ifndef KEDGE_COMMON_BASE_ERROR_REASON_H_
#define KEDGE_COMMON_BASE_ERROR_REASON_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace kedge {

// Those of protos/kedge/inference/v1/error.proto that their code does not tell.
inline constexpr absl::string_view kQueueFull = "QUEUE_FULL";
inline constexpr absl::string_view kDeadlineTooShort = "DEADLINE_TOO_SHORT";
inline constexpr absl::string_view kMemoryFull = "MEMORY_FULL";
inline constexpr absl::string_view kKvMemoryTooSmall = "KV_MEMORY_TOO_SMALL";
inline constexpr absl::string_view kShuttingDown = "SHUTTING_DOWN";
inline constexpr absl::string_view kNoNode = "NO_NODE";
inline constexpr absl::string_view kMoved = "MOVED";

// `status` with a reason. REQUIRES: it is an error.
absl::Status WithReason(absl::Status status, absl::string_view reason);
// The reason that it was given, or that of its code. REQUIRES: it is an error.
std::string ReasonOf(const absl::Status& status);
// That of a code.
absl::string_view DefaultReason(absl::StatusCode code);

// An error that begins with no field's name, but is about one.
absl::Status WithField(absl::Status status, absl::string_view field);
// The field that it was given, or that its message begins with ("stop[2]: is empty"); "" if there is none.
std::string FieldOf(const absl::Status& status);

// A refusal that says: the same may succeed after `delay`.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);
std::optional<absl::Duration> RetryAfter(const absl::Status& status);
// Both: a refusal for `reason`, which may be over after `delay`.
absl::Status Refusal(absl::Status status, absl::string_view reason, absl::Duration delay);

// `status` with reason, field and delay of `source`.
absl::Status WithDetailsOf(absl::Status status, const absl::Status& source);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_ERROR_REASON_H_
