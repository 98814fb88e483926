#include "decode/decode_messages.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

using node::v1::DecodeResponse;

DecodeResponse Tokens(uint32_t first_index, std::vector<uint32_t> ids) {
  DecodeResponse response;
  response.set_first_index(first_index);
  for (uint32_t id : ids) response.add_tokens()->set_id(id);
  return response;
}

TEST(DecodeMessagesTest, WaitingTokensTravelTogetherAndKeepTheirPlace) {
  DecodeResponse last = Tokens(3, {10});
  ASSERT_TRUE(MergeDecodeResponses(&last, Tokens(4, {11})));
  DecodeResponse end;
  end.mutable_finished()->set_reason(node::v1::END_REASON_LENGTH);
  ASSERT_TRUE(MergeDecodeResponses(&last, end));
  EXPECT_EQ(last.first_index(), 3u);
  ASSERT_EQ(last.tokens_size(), 2);
  EXPECT_EQ(last.tokens(1).id(), 11u);
  EXPECT_TRUE(last.has_finished());
  EXPECT_FALSE(MergeDecodeResponses(&last, Tokens(5, {12})));  // nothing follows an end
}

TEST(DecodeMessagesTest, PrefilledTakesTheFirstTokensAlong) {
  DecodeResponse prefilled;
  prefilled.mutable_prefilled()->set_kept_rows(7);
  ASSERT_TRUE(MergeDecodeResponses(&prefilled, Tokens(2, {9})));
  EXPECT_EQ(prefilled.first_index(), 2u);
  EXPECT_EQ(prefilled.prefilled().kept_rows(), 7u);
}

TEST(DecodeMessagesTest, JobsKeepEveryField) {
  node::v1::DecodeRequest request;
  request.set_request_id("r1");
  request.mutable_content()->add_ids(5);
  request.mutable_content()->set_prompt_length(1);
  request.mutable_content()->set_policy("full");
  request.mutable_content()->set_fingerprint("print");
  request.mutable_sampling()->set_seed(9);
  request.mutable_sampling()->set_max_tokens(3);
  request.add_prefill_candidates()->set_address("a:1");
  const absl::StatusOr<DecodeJob> job = DecodeJobFromProto(request, absl::UnixEpoch());
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->request_id, "r1");
  EXPECT_EQ(job->content.policy.recent, Policy::kAll);
  EXPECT_EQ(job->fingerprint, "print");
  EXPECT_EQ(job->sampling.seed, 9u);
  EXPECT_EQ(job->sampling.max_tokens, 3u);
  EXPECT_EQ(job->candidates.at(0).address, "a:1");
  EXPECT_EQ(job->deadline, absl::UnixEpoch());
  request.mutable_content()->set_policy("nonsense");
  EXPECT_EQ(DecodeJobFromProto(request, absl::UnixEpoch()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kedge
