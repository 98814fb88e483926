#include "cli/answer.h"

#include "common/anchor/policy.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Answer SomeAnswer() {
  Answer answer;
  answer.text = "Grüße \"an\" alle\n";
  answer.token_ids = {5, 0, 49151};
  answer.logprobs = {-0.5f, -1.25f, 0.0f};
  answer.finish_reason = "stop";
  answer.policy =
      "anchors=14+30+33,insert=off,longest=512,keep=none,sinks=4,recent=32,view=all,prefill=full,salient=0.07,"
      "write=anchored";
  answer.prompt_tokens = 1500;
  answer.completion_tokens = 3;
  answer.kept_rows = 200;
  answer.adaptive_rows = 12;
  answer.kept_ranges = {{0, 4}, {1304, 1500}};
  answer.segment_bytes = 4608000;
  answer.full_bytes = 34560000;
  answer.first_token = absl::Milliseconds(250);
  answer.total = absl::Milliseconds(750);
  answer.prefill_node = "prefill-0";
  answer.decode_node = "decode-0,decode-1";
  return answer;
}

TEST(AnswerTest, JsonHasExactlyTheNamedKeys) {
  const Answer answer = SomeAnswer();
  std::string line = AnswerJson(answer);
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  nlohmann::json json = nlohmann::json::parse(line);
  nlohmann::json want = {{"text", "Grüße \"an\" alle\n"},
                         {"token_ids", {5, 0, 49151}},
                         {"logprobs", {-0.5, -1.25, 0.0}},
                         {"finish_reason", "stop"},
                         {"policy", answer.policy},
                         {"prompt_tokens", 1500},
                         {"completion_tokens", 3},
                         {"cached_tokens", 0},
                         {"kept_rows", 200},
                         {"held_rows", 0},
                         {"adaptive_rows", 12},
                         {"kept_ranges", {{0, 4}, {1304, 1500}}},
                         {"segment_bytes", 4608000},
                         {"full_bytes", 34560000},
                         {"ttft_ms", 250.0},
                         {"prefill_node", "prefill-0"},
                         {"decode_node", "decode-0,decode-1"}};
  EXPECT_EQ(json, want) << line;
}

TEST(AnswerTest, JsonOfAnEmptyAnswerHasEmptyLists) {
  nlohmann::json json = nlohmann::json::parse(AnswerJson(Answer()));
  EXPECT_EQ(json["token_ids"], nlohmann::json::array());
  EXPECT_EQ(json["logprobs"], nlohmann::json::array());
}

TEST(AnswerTest, TheSummarySaysWhatMovedAndHowFast) {
  std::string summary = AnswerSummary(SomeAnswer());
  EXPECT_THAT(summary, HasSubstr("1500 prompt, 3 output (stop)"));
  EXPECT_THAT(
      summary,
      HasSubstr("200 kept of 1500 (13.3 %), in 2 parts of the prompt; 12 of them because what matters is spread"));
  EXPECT_THAT(summary, HasSubstr("4,608,000 moved; a full cache of such rows is 34,560,000 (13.3 %)"));
  EXPECT_THAT(summary, HasSubstr("0.250 s to the first token, then 4.0 tokens/s"));
  EXPECT_THAT(summary, HasSubstr("prefill prefill-0, decode decode-0,decode-1"));
}

TEST(AnswerTest, TheSummaryNamesThePolicyAsItsPresetIsWritten) {
  Answer answer = SomeAnswer();
  EXPECT_THAT(AnswerSummary(answer),
              HasSubstr("\n  policy   anchors=14+30+33,longest=512,keep=none,sinks=4,recent=32,view=all,prefill=full,"
                        "salient=0.07\n"));
  answer.policy = CanonicalPolicy({.recent = Policy::kAll});
  EXPECT_THAT(AnswerSummary(answer), HasSubstr("\n  policy   recent=all\n"));
  answer.policy = ReadablePolicy({.anchors = {1, 2, 3, 4, 5}, .sinks = 4}, {.sentence = {1, 2, 3, 4, 5}});
  EXPECT_THAT(AnswerSummary(answer), HasSubstr("\n  policy   anchors=sentence,sinks=4\n"));
  answer.policy = CanonicalPolicy({.anchors = {1, 2, 3, 4, 5}, .sinks = 4});
  EXPECT_THAT(AnswerSummary(answer), HasSubstr("\n  policy   anchors=5 tokens,sinks=4\n"));
}

TEST(AnswerTest, NothingMovedIsNoSaving) {
  Answer answer = SomeAnswer();
  answer.segment_bytes = 0;
  EXPECT_THAT(AnswerSummary(answer), HasSubstr("none moved: the decode node computed the prompt"));
  EXPECT_THAT(AnswerSummary(answer), Not(HasSubstr("34,560,000 (")));
}

TEST(AnswerTest, WhatACacheHadIsSaid) {
  Answer answer = SomeAnswer();
  EXPECT_THAT(AnswerSummary(answer), Not(HasSubstr("cache)")));
  answer.cached_tokens = 1024;
  EXPECT_THAT(AnswerSummary(answer), HasSubstr("1500 prompt (1024 of them from a cache), 3 output"));
  answer.segment_bytes = 0;
  EXPECT_THAT(AnswerSummary(answer), HasSubstr("none moved: the decode node had rows of the prompt"));
}

TEST(AnswerTest, RowsThatNeedNotMoveAreSaid) {
  Answer answer = SomeAnswer();
  EXPECT_THAT(AnswerSummary(answer), Not(HasSubstr("the decode node had")));
  answer.held_rows = 150;
  answer.adaptive_rows = 0;
  EXPECT_THAT(AnswerSummary(answer), HasSubstr("in 2 parts of the prompt; 150 of them the decode node had\n"));
}

TEST(AnswerTest, TheSummaryOfNothingDividesByNothing) {
  std::string summary = AnswerSummary(Answer());
  EXPECT_THAT(summary, Not(HasSubstr("nan")));
  EXPECT_THAT(summary, Not(HasSubstr("inf")));
  EXPECT_THAT(summary, HasSubstr("prefill none, decode none"));
}

TEST(AnswerTest, KeptPartsAreMarked) {
  Answer answer;
  answer.prompt_pieces = {{"a ", false}, {"b", true}, {" c", false}};
  EXPECT_EQ(MarkedPrompt(answer, false), "a [[b]] c");
  EXPECT_EQ(MarkedPrompt(answer, true), "\x1b[2ma \x1b[0m\x1b[1mb\x1b[0m\x1b[2m c\x1b[0m");
}

TEST(AnswerTest, CommasStandAtThousands) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(98362432), "98,362,432");
}

}  // namespace
}  // namespace kedge
