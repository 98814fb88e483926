#include "common/rpc/convert.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ConvertTest, ContentSurvivesTheWire) {
  const Content content{.ids = {1, 2, 3},
                        .prompt_length = 2,
                        .no_anchor_positions = {1},
                        .sequence_ends = {0, 1},
                        .pinned = {{0, 1}},
                        .turn_begin = 1,
                        .user = {{0, 1}},
                        .system = {{1, 2}},
                        .question_marks = {2},
                        .policy = {.anchors = {7, 9}, .longest = 12, .recent = 3},
                        .salient = {{}},
                        .cache_domain = std::string("a\0b", 3)};
  const absl::StatusOr<Content> back = ContentFromProto(ContentToProto(content, "print"));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->ids, content.ids);
  EXPECT_EQ(back->prompt_length, 2u);
  EXPECT_EQ(back->no_anchor_positions, content.no_anchor_positions);
  EXPECT_EQ(back->sequence_ends, content.sequence_ends);
  EXPECT_EQ(back->pinned, content.pinned);
  EXPECT_EQ(back->turn_begin, 1u);
  EXPECT_EQ(back->user, content.user);
  EXPECT_EQ(back->system, content.system);
  EXPECT_EQ(back->question_marks, content.question_marks);
  EXPECT_EQ(back->policy, content.policy);
  EXPECT_EQ(back->cache_domain, content.cache_domain);
  EXPECT_EQ(back->salient, content.salient);  // a choice of nothing is not the same as none
  EXPECT_FALSE(ContentFromProto(ContentToProto({.policy = content.policy}, "print"))->salient.has_value());
}

TEST(ConvertTest, BadPolicyIsNamed) {
  node::v1::Content proto;
  proto.set_policy("sink=4");
  const absl::Status status = ContentFromProto(proto).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find("content.policy:"), 0u) << status;
  proto.clear_policy();
  EXPECT_EQ(ContentFromProto(proto).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ConvertTest, SamplingKeepsWhatIsUnset) {
  node::v1::Sampling proto;
  EXPECT_FALSE(SamplingFromProto(proto).logprobs.has_value());
  proto.set_logprobs(0);
  EXPECT_EQ(SamplingFromProto(proto).logprobs, 0u);
}

}  // namespace
}  // namespace kedge
