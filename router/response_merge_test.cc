#include "router/response_merge.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

using inference::v1::GenerateStreamResponse;

GenerateStreamResponse Piece(uint32_t index, const std::string& text, uint32_t id) {
  GenerateStreamResponse message;
  message.set_request_id("r");
  auto* completion = message.add_completions();
  completion->set_index(index);
  completion->set_text(text);
  completion->add_token_ids(id);
  completion->add_logprobs()->set_token_id(id);
  return message;
}

TEST(ResponseMergeTest, JoinsPiecesOfEachCompletion) {
  GenerateStreamResponse merged;
  MergeResponse(Piece(1, "x", 10), &merged);
  MergeResponse(Piece(0, "a", 1), &merged);
  GenerateStreamResponse last = Piece(1, "y", 11);
  last.mutable_completions(0)->set_finish_reason(inference::v1::FINISH_REASON_STOP);
  last.mutable_completions(0)->set_matched_token_id(2);
  MergeResponse(last, &merged);
  MergeResponse(Piece(0, "", 2), &merged);

  ASSERT_EQ(merged.completions_size(), 2);
  EXPECT_EQ(merged.completions(0).index(), 1u);
  EXPECT_EQ(merged.completions(0).text(), "xy");
  EXPECT_EQ(merged.completions(0).token_ids_size(), 2);
  EXPECT_EQ(merged.completions(0).logprobs(1).token_id(), 11u);
  EXPECT_EQ(merged.completions(0).finish_reason(), inference::v1::FINISH_REASON_STOP);
  EXPECT_EQ(merged.completions(0).matched_token_id(), 2u);
  EXPECT_EQ(merged.completions(1).text(), "a");
  EXPECT_EQ(merged.completions(1).finish_reason(), inference::v1::FINISH_REASON_UNSPECIFIED);
  EXPECT_EQ(merged.request_id(), "r");
}

TEST(ResponseMergeTest, LaterCountsReplaceEarlierOnes) {
  GenerateStreamResponse merged;
  merged.set_model("m");
  merged.mutable_usage()->set_prompt_tokens(5);
  merged.mutable_usage()->set_kept_rows(3);
  GenerateStreamResponse last;
  last.mutable_usage()->set_prompt_tokens(5);
  last.mutable_usage()->set_completion_tokens(7);
  last.mutable_provenance()->set_seed(9);
  MergeResponse(last, &merged);
  EXPECT_EQ(merged.model(), "m");
  EXPECT_EQ(merged.usage().completion_tokens(), 7u);
  EXPECT_EQ(merged.usage().kept_rows(), 0u);
  EXPECT_EQ(merged.provenance().seed(), 9u);
}

}  // namespace
}  // namespace kedge
