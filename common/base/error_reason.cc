// Tested by error_reason_test.cc.
#include "common/base/error_reason.h"

#include <cstdint>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace kedge {
namespace {

constexpr char kReasonUrl[] = "kedge/reason";
constexpr char kFieldUrl[] = "kedge/field";
constexpr char kRetryUrl[] = "kedge/retry-after-ms";

absl::Status With(absl::Status status, absl::string_view url, absl::string_view text) {
  status.SetPayload(url, absl::Cord(text));
  return status;
}

std::string Payload(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload.has_value() ? std::string(*payload) : "";
}

}  // namespace

absl::Status WithReason(absl::Status status, absl::string_view reason) {
  return With(std::move(status), kReasonUrl, reason);
}

std::string ReasonOf(const absl::Status& status) {
  std::string reason = Payload(status, kReasonUrl);
  return reason.empty() ? std::string(DefaultReason(status.code())) : reason;
}

absl::string_view DefaultReason(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return "INVALID_FIELD";
    case absl::StatusCode::kNotFound:
      return "UNKNOWN_MODEL";
    case absl::StatusCode::kResourceExhausted:
      return kQueueFull;
    case absl::StatusCode::kUnavailable:
      return "NODE_LOST";
    case absl::StatusCode::kDeadlineExceeded:
      return "DEADLINE";
    case absl::StatusCode::kCancelled:
      return "CANCELLED";
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return "NODE_REFUSED";
    default:
      return "INTERNAL";
  }
}

absl::Status WithField(absl::Status status, absl::string_view field) {
  return With(std::move(status), kFieldUrl, field);
}

std::string FieldOf(const absl::Status& status) {
  if (std::string field = Payload(status, kFieldUrl); !field.empty()) return field;
  const absl::string_view message = status.message();
  const size_t end = message.find(": ");
  if (end == absl::string_view::npos || message.find(' ') < end) return "";
  return std::string(message.substr(0, end));
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration delay) {
  const int64_t ms = absl::ToInt64Milliseconds(absl::Ceil(delay, absl::Milliseconds(1)));
  return With(std::move(status), kRetryUrl, absl::StrCat(ms));
}

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  int64_t ms = 0;
  if (!absl::SimpleAtoi(Payload(status, kRetryUrl), &ms)) return std::nullopt;
  return absl::Milliseconds(ms);
}

absl::Status Refusal(absl::Status status, absl::string_view reason, absl::Duration delay) {
  return WithRetryAfter(WithReason(std::move(status), reason), delay);
}

absl::Status WithDetailsOf(absl::Status status, const absl::Status& source) {
  for (const char* url : {kReasonUrl, kFieldUrl, kRetryUrl}) {
    if (const std::string text = Payload(source, url); !text.empty()) status = With(std::move(status), url, text);
  }
  return status;
}

}  // namespace kedge
