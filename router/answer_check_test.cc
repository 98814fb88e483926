#include "router/answer_check.h"

#include <functional>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace kedge {
namespace {

using node::v1::DecodeResponse;
using node::v1::PositionRange;

void SetRange(uint32_t begin, uint32_t end, PositionRange* range) {
  range->set_begin(begin);
  range->set_end(end);
}

class AnswerCheckTest : public testing::Test {
 protected:
  AnswerCheckTest() {
    request_.prompt_ids = {1, 2, 3, 4, 5, 6};
    request_.chooses = true;
    request_.max_tokens = 4;
    request_.logprobs = 1;
    message_.set_first_index(0);
    node::v1::Token* const token = message_.add_tokens();
    token->set_id(9);
    token->mutable_logprob()->add_top_ids(9);
    token->mutable_logprob()->add_top_logprobs(-1);
    node::v1::Prefilled* const prefilled = message_.mutable_prefilled();
    prefilled->set_prefill_node("p1");
    prefilled->set_numerics_class("cpu-1");
    prefilled->set_kept_rows(5);
    prefilled->set_row_bytes(100);
    SetRange(0, 6, prefilled->add_kept_ranges());
    SetRange(1, 3, prefilled->mutable_salient()->add_ranges());
    message_.mutable_finished()->set_reason(node::v1::END_REASON_LENGTH);
  }

  // What is wrong with the message once it is changed so.
  std::string Error(const std::function<void(DecodeResponse*)>& change) {
    DecodeResponse changed = message_;
    change(&changed);
    const absl::Status status = CheckAnswer(changed, asked_);
    EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
    return std::string(status.message());
  }

  RouterRequest request_;
  DecodeResponse message_;
  AskedFor asked_{.request = &request_, .vocab_size = 10};
};

TEST_F(AnswerCheckTest, AnAnswerPasses) { EXPECT_EQ(Error([](DecodeResponse*) {}), ""); }

TEST_F(AnswerCheckTest, EachFieldIsMeasuredByWhatWasAskedFor) {
  const std::pair<std::string, std::function<void(DecodeResponse*)>> wrong[] = {
      {"sent prefilled.prefill_node", [](auto* m) { m->mutable_prefilled()->set_prefill_node("p1\n"); }},
      {"sent prefilled.numerics_class", [](auto* m) { m->mutable_prefilled()->set_numerics_class("\x1b[2J"); }},
      {"sent prefilled: 7 rows kept", [](auto* m) { m->mutable_prefilled()->set_kept_rows(7); }},
      {"sent prefilled: 5 rows kept, 6 held", [](auto* m) { m->mutable_prefilled()->set_held_rows(6); }},
      {"sent prefilled: 5 rows kept, 0 held, 6 adaptive",
       [](auto* m) { m->mutable_prefilled()->set_adaptive_rows(6); }},
      {"sent prefilled: 5 rows kept", [](auto* m) { m->mutable_prefilled()->set_cached_tokens(UINT32_MAX); }},
      {"sent prefilled: ", [](auto* m) { m->mutable_prefilled()->set_segment_bytes(UINT64_MAX); }},
      {"sent prefilled: ", [](auto* m) { m->mutable_prefilled()->set_row_bytes(UINT64_MAX); }},
      {"sent prefilled: ", [](auto* m) { m->mutable_prefilled()->set_queue_us(UINT64_MAX); }},
      {"sent prefilled.kept_ranges[0]",
       [](auto* m) { SetRange(0, 7, m->mutable_prefilled()->mutable_kept_ranges(0)); }},
      {"sent prefilled.salient[0]",
       [](auto* m) { SetRange(1, 6, m->mutable_prefilled()->mutable_salient()->mutable_ranges(0)); }},
      {"sent prefilled.salient: nothing", [](auto* m) { m->mutable_prefilled()->clear_salient(); }},
      {"sent token 1 after 0", [](auto* m) { m->set_first_index(1); }},
      {"sent token id 10", [](auto* m) { m->mutable_tokens(0)->set_id(10); }},
      {"sent tokens.logprob: 2 ids", [](auto* m) { m->mutable_tokens(0)->mutable_logprob()->add_top_ids(1); }},
      {"sent tokens.logprob: id 10", [](auto* m) { m->mutable_tokens(0)->mutable_logprob()->set_top_ids(0, 10); }},
      {"sent more than the 4", [](auto* m) { for (int i = 0; i < 4; ++i) m->add_tokens(); }},
      {"sent finished.reason", [](auto* m) { m->mutable_finished()->clear_reason(); }},
      {"sent finished.end_id: 10",
       [](auto* m) {
         m->mutable_finished()->set_reason(node::v1::END_REASON_END_ID);
         m->mutable_finished()->set_end_id(10);
       }},
  };
  for (const auto& [begin, change] : wrong) EXPECT_EQ(Error(change).find(begin), 0u) << begin << ": " << Error(change);
}

TEST_F(AnswerCheckTest, OneChoiceForARequestToldOnce) {
  asked_.chosen = message_.prefilled().salient();
  EXPECT_EQ(Error([](DecodeResponse*) {}), "");
  SetRange(1, 2, asked_.chosen->mutable_ranges(0));
  EXPECT_EQ(Error([](DecodeResponse*) {}), "sent prefilled.salient: another choice than the request's");
  asked_.has_prefilled = true;
  EXPECT_EQ(Error([](DecodeResponse*) {}), "sent prefilled: a second time");
  asked_ = {.request = &request_, .vocab_size = 10};
  request_.chooses = false;
  EXPECT_EQ(Error([](DecodeResponse*) {}), "sent prefilled.salient: a choice, and the policy makes none");
}

}  // namespace
}  // namespace kedge
