#include "common/rpc/status.h"

#include <string>
#include <vector>

#include "common/base/error_reason.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/error.pb.h"

namespace kedge {
namespace {

TEST(RpcStatusTest, MapsEachCodeToItself) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    const grpc::Status converted = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(converted.error_code()), code);
    EXPECT_EQ(FromGrpcStatus(converted), status);
  }
  EXPECT_EQ(ToGrpcStatus(absl::UnavailableError("x")).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ToGrpcStatus(absl::ResourceExhaustedError("x")).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ToGrpcStatus(absl::DataLossError("x")).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(RpcStatusTest, CutsLongMessagesBetweenCharacters) {
  std::string text;
  while (text.size() < 3000) text += "\xE2\x82\xAC";  // three bytes each
  const std::string cut = ToGrpcStatus(absl::InternalError(text)).error_message();
  EXPECT_LE(cut.size(), kMaxStatusMessage);
  EXPECT_EQ(cut.substr(cut.size() - 3), "...");
  EXPECT_EQ((cut.size() - 3) % 3, 0u);
}

google::rpc::Status DetailsOf(const absl::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(ToGrpcStatus(status).error_details()));
  return details;
}

TEST(RpcStatusTest, AnInvalidArgumentNamesItsField) {
  const google::rpc::Status details = DetailsOf(absl::InvalidArgumentError("sampling_params.n: is 0"));
  EXPECT_EQ(details.code(), 3);
  EXPECT_EQ(details.message(), "sampling_params.n: is 0");
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "INVALID_FIELD");
  EXPECT_EQ(info.domain(), "kedge");
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  ASSERT_EQ(bad.field_violations_size(), 1);
  EXPECT_EQ(bad.field_violations(0).field(), "sampling_params.n");
  EXPECT_EQ(bad.field_violations(0).description(), "is 0");
}

TEST(RpcStatusTest, ARefusalSaysWhenToTryAgain) {
  const google::rpc::Status details =
      DetailsOf(WithRetryAfter(absl::ResourceExhaustedError("full"), absl::Milliseconds(1250)));
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 250'000'000);
}

TEST(RpcStatusTest, DetailsComeBack) {
  for (const absl::Status& status :
       {WithRetryAfter(WithReason(absl::ResourceExhaustedError("x"), kKvMemoryTooSmall), absl::Seconds(2)),
        WithField(absl::InvalidArgumentError("chat template: raised x"), "messages"),
        absl::InvalidArgumentError("n: is 0")}) {
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status);
  }
  const grpc::Status damaged(grpc::StatusCode::UNAVAILABLE, "x", "\xFF no message");
  EXPECT_EQ(FromGrpcStatus(damaged), absl::UnavailableError("x"));
}

TEST(RpcStatusTest, DetailsFitTheMetadataOfAnyClient) {
  const absl::Status status = absl::InvalidArgumentError(std::string(5000, 'f') + ": " + std::string(5000, 'd'));
  EXPECT_LT(ToGrpcStatus(status).error_details().size(), 3000u);
}

TEST(RpcStatusTest, EveryReasonIsInTheProto) {
  std::vector<std::string> reasons;
  for (const absl::string_view reason :
       {kQueueFull, kDeadlineTooShort, kMemoryFull, kKvMemoryTooSmall, kShuttingDown, kNoNode}) {
    reasons.emplace_back(reason);
  }
  for (int code = 1; code <= 16; ++code) {
    reasons.emplace_back(DefaultReason(static_cast<absl::StatusCode>(code)));
  }
  for (const std::string& reason : reasons) {
    inference::v1::ErrorReason value;
    EXPECT_TRUE(inference::v1::ErrorReason_Parse("ERROR_REASON_" + reason, &value)) << reason;
  }
}

TEST(RpcStatusTest, MessagesAreOnePrintableLine) {
  EXPECT_EQ(ToGrpcStatus(absl::InternalError("a\nb\x1b[2J")).error_message(), "a\\nb\\x1b[2J");
  const std::string long_text(1 << 20, '\x07');
  const absl::Status status = FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "\x1b]0;owned" + long_text));
  EXPECT_EQ(status.message().find("\\x1b]0;owned\\x07"), 0u);
  EXPECT_LE(status.message().size(), kMaxStatusMessage);
}

}  // namespace
}  // namespace kedge
