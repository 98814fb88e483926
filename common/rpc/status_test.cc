#include "common/rpc/status.h"

#include <string>

#include "gtest/gtest.h"

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

TEST(RpcStatusTest, MessagesAreOnePrintableLine) {
  EXPECT_EQ(ToGrpcStatus(absl::InternalError("a\nb\x1b[2J")).error_message(), "a\\nb\\x1b[2J");
  const std::string long_text(1 << 20, '\x07');
  const absl::Status status = FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "\x1b]0;owned" + long_text));
  EXPECT_EQ(status.message().find("\\x1b]0;owned\\x07"), 0u);
  EXPECT_LE(status.message().size(), kMaxStatusMessage);
}

}  // namespace
}  // namespace kedge
