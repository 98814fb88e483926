#include "common/rpc/decode_merge.h"

#include <cstdint>
#include <vector>

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

TEST(DecodeMergeTest, WaitingTokensTravelTogetherAndKeepTheirPlace) {
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

TEST(DecodeMergeTest, PrefilledTakesTheFirstTokensAlong) {
  DecodeResponse prefilled;
  prefilled.mutable_prefilled()->set_kept_rows(7);
  ASSERT_TRUE(MergeDecodeResponses(&prefilled, Tokens(2, {9})));
  EXPECT_EQ(prefilled.first_index(), 2u);
  EXPECT_EQ(prefilled.prefilled().kept_rows(), 7u);
}

}  // namespace
}  // namespace kedge
