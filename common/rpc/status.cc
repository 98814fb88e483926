// Both libraries number the codes of google.rpc.Code alike, so a cast is the whole map; what is left is the length of
// the message, and the details.
//
// Tested by status_test.cc.
#include "common/rpc/status.h"

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/error_reason.h"
#include "common/base/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_context.h"

namespace kedge {
namespace {

constexpr char kDomain[] = "kedge";
constexpr size_t kMaxField = 256;

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = PrintableLine(status.message(), kMaxStatusMessage);
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);

  google::rpc::ErrorInfo info;
  info.set_reason(ReasonOf(status));
  info.set_domain(kDomain);
  details.add_details()->PackFrom(info);
  if (const std::string field = FieldOf(status); absl::IsInvalidArgument(status) && !field.empty()) {
    google::rpc::BadRequest bad;
    google::rpc::BadRequest::FieldViolation* violation = bad.add_field_violations();
    violation->set_field(PrintableLine(field, kMaxField));
    absl::string_view description = message;
    if (absl::ConsumePrefix(&description, field)) absl::ConsumePrefix(&description, ": ");
    violation->set_description(std::string(description));
    details.add_details()->PackFrom(bad);
  }
  if (const std::optional<absl::Duration> delay = RetryAfter(status); delay.has_value()) {
    google::rpc::RetryInfo retry;
    const int64_t ms = absl::ToInt64Milliseconds(*delay);
    retry.mutable_retry_delay()->set_seconds(ms / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(ms % 1000) * 1'000'000);
    details.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message, details.SerializeAsString());
}

grpc::Status ToGrpcStatus(const absl::Status& status, grpc::ServerContextBase* context) {
  if (const std::optional<absl::Duration> delay = RetryAfter(status); !status.ok() && delay.has_value()) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(absl::ToInt64Milliseconds(*delay)));
  }
  return ToGrpcStatus(status);
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      PrintableLine(status.error_message(), kMaxStatusMessage));
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : details.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      if (info.domain() == kDomain && info.reason() != DefaultReason(result.code())) {
        result = WithReason(result, PrintableLine(info.reason(), kMaxField));
      }
    } else if (detail.UnpackTo(&bad) && !bad.field_violations().empty()) {
      const std::string field = PrintableLine(bad.field_violations(0).field(), kMaxField);
      if (field != FieldOf(result)) {
        result = WithField(result, field);
      }
    } else if (detail.UnpackTo(&retry)) {
      result = WithRetryAfter(result, absl::Seconds(retry.retry_delay().seconds()) +
                                          absl::Nanoseconds(retry.retry_delay().nanos()));
    }
  }
  return result;
}

}  // namespace kedge
