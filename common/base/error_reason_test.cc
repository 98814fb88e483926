#include "common/base/error_reason.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ErrorReasonTest, IsThatOfTheCodeUnlessItIsGiven) {
  EXPECT_EQ(ReasonOf(absl::InvalidArgumentError("x")), "INVALID_FIELD");
  EXPECT_EQ(ReasonOf(absl::ResourceExhaustedError("x")), kQueueFull);
  EXPECT_EQ(ReasonOf(WithReason(absl::ResourceExhaustedError("x"), kMemoryFull)), kMemoryFull);
}

TEST(ErrorReasonTest, FieldIsWhatTheMessageBeginsWith) {
  EXPECT_EQ(FieldOf(absl::InvalidArgumentError("sampling_params.stop[2]: is empty")), "sampling_params.stop[2]");
  EXPECT_EQ(FieldOf(absl::InvalidArgumentError("a sentence: no field")), "");
  EXPECT_EQ(FieldOf(absl::InvalidArgumentError("nothing at all")), "");
  EXPECT_EQ(FieldOf(WithField(absl::InvalidArgumentError("chat template: raised x"), "messages")), "messages");
}

TEST(ErrorReasonTest, TellsWhenToTryAgain) {
  EXPECT_EQ(RetryAfter(absl::UnavailableError("x")), std::nullopt);
  EXPECT_EQ(RetryAfter(WithRetryAfter(absl::UnavailableError("x"), absl::Microseconds(1500))), absl::Milliseconds(2));
}

TEST(ErrorReasonTest, DetailsGoFromOneStatusToAnother) {
  const absl::Status source =
      WithRetryAfter(WithReason(absl::ResourceExhaustedError("x"), kMemoryFull), absl::Seconds(1));
  const absl::Status status = WithDetailsOf(absl::UnavailableError("y"), source);
  EXPECT_EQ(status.message(), "y");
  EXPECT_EQ(ReasonOf(status), kMemoryFull);
  EXPECT_EQ(RetryAfter(status), absl::Seconds(1));
}

}  // namespace
}  // namespace kedge
