#include "common/transfer/state_request.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StateRequestTest, ComesBackAsItWas) {
  StateRequest request{.request_id = "r",
                       .fingerprint = "print",
                       .kv_type = "f32",
                       .held = {{0, 2}, {4, 5}},
                       .answer_time = absl::Milliseconds(250)};
  request.content = {.ids = {1, 2, 3}, .prompt_length = 4, .pinned = {{1, 2}}, .policy = {.recent = 7}};
  const absl::StatusOr<StateRequest> again = StateRequestFromProto(StateRequestToProto(request));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->request_id, "r");
  EXPECT_EQ(again->content.ids, request.content.ids);
  EXPECT_EQ(again->content.prompt_length, 4u);
  EXPECT_EQ(again->content.pinned, request.content.pinned);
  EXPECT_EQ(again->content.policy, request.content.policy);
  EXPECT_EQ(again->fingerprint, "print");
  EXPECT_EQ(again->kv_type, "f32");
  EXPECT_EQ(again->held, request.held);
  EXPECT_EQ(again->answer_time, request.answer_time);
}

TEST(StateRequestTest, ATimeOfMoreThanADayIsRefused) {
  node::v1::PrefillRequest proto = StateRequestToProto({.request_id = "r", .content = {.policy = {.recent = 7}}});
  proto.set_answer_ms(UINT32_MAX);
  EXPECT_EQ(StateRequestFromProto(proto).status().message().find("answer_ms"), 0u);
  const StateRequest longest{
      .request_id = "r", .content = {.policy = {.recent = 7}}, .answer_time = absl::InfiniteDuration()};
  EXPECT_TRUE(StateRequestFromProto(StateRequestToProto(longest)).ok());
}

TEST(StateRequestTest, AnIdThatMayNotStandInLogsIsRefused) {
  const StateRequest request{.request_id = "a\nb", .content = {.policy = {.recent = 7}}};
  const absl::Status status = StateRequestFromProto(StateRequestToProto(request)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find("request_id"), 0u);
}

}  // namespace
}  // namespace kedge
