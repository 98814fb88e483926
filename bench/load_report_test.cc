#include "bench/load_report.h"

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RequestOutcome Answer(int sent_ms, std::vector<int> token_ms, int ended_ms) {
  RequestOutcome outcome{.sent = absl::Milliseconds(sent_ms), .ended = absl::Milliseconds(ended_ms)};
  for (int time : token_ms) outcome.tokens.push_back(absl::Milliseconds(time));
  outcome.moved_bytes = 10;
  outcome.full_bytes = 100;
  return outcome;
}

const LoadOptions kOptions{.requests = 4, .clients = 2, .prompt_tokens = 7, .output_tokens = 3};
const LoadLimits kLimits{.first_token = absl::Milliseconds(500), .gap = absl::Milliseconds(20)};

LoadReport Example() {
  return ReportOf({Answer(100, {300, 310, 330}, 340),   // first 200, mean gap 15: good
                   Answer(100, {700, 710}, 710),        // first 600: too late
                   Answer(400, {500, 600, 610}, 1100),  // mean gap 55: too slow
                   RequestOutcome{.status = absl::UnavailableError("gone"), .ended = absl::Milliseconds(900)}},
                  kOptions, kLimits);
}

TEST(LoadReportTest, SumsAndQuantiles) {
  const LoadReport report = Example();
  EXPECT_EQ(report.sent, 4u);
  EXPECT_EQ(report.answered(), 3u);
  EXPECT_THAT(report.errors, ElementsAre(HasSubstr("gone")));
  EXPECT_THAT(report.first_token_ms, ElementsAre(200, 600, 100));
  EXPECT_THAT(report.gap_ms, ElementsAre(10, 20, 10, 100, 10));
  EXPECT_EQ(report.output_tokens, 8u);
  EXPECT_EQ(report.prompt_tokens, 21u);
  EXPECT_EQ(report.good, 1u);
  EXPECT_EQ(report.good_tokens, 3u);
  EXPECT_DOUBLE_EQ(report.seconds, 1.1);  // the one that failed was sent at 0
  EXPECT_EQ(report.moved_bytes, 30u);
}

TEST(LoadReportTest, Json) {
  const auto json = nlohmann::json::parse(LoadReportJson(Example(), kOptions));
  EXPECT_EQ(json["load"]["prompt_tokens"], 7);
  EXPECT_EQ(json["sent"], 4);
  EXPECT_EQ(json["answered"], 3);
  EXPECT_EQ(json["ttft_ms"]["p50"], 200);
  EXPECT_EQ(json["itl_ms"]["p50"], 10);
  // Of rates the 99th of a hundred is a slow one: 99 reach it.
  EXPECT_LT(json["request_tokens_per_s"]["p99"], json["request_tokens_per_s"]["p50"]);
  EXPECT_EQ(json["goodput"]["share"], 0.25);
  EXPECT_EQ(json["goodput"]["ttft_limit_ms"], 500);
  EXPECT_EQ(json["bytes"]["share"], 0.1);
  EXPECT_NEAR(json["throughput"]["output_tokens_per_s"].get<double>(), 8 / 1.1, 1e-9);
}

TEST(LoadReportTest, WithoutAnswersThereAreNoQuantiles) {
  const LoadReport report = ReportOf({RequestOutcome{.status = absl::UnavailableError("gone")}}, kOptions, kLimits);
  const auto json = nlohmann::json::parse(LoadReportJson(report, kOptions));
  EXPECT_TRUE(json["ttft_ms"]["p50"].is_null());
  EXPECT_EQ(json["goodput"]["share"], 0);
  EXPECT_THAT(LoadReportText(report, kOptions), HasSubstr("1 failed; the first: UNAVAILABLE: gone"));
  EXPECT_THAT(LoadPicture(report), HasSubstr("First token of 0 answers"));
  EXPECT_EQ(ReportOf({}, kOptions, kLimits).seconds, 0);
}

TEST(LoadReportTest, AnAnswerOfOneTokenHasNoGaps) {
  const LoadReport report = ReportOf({Answer(0, {100}, 100)}, kOptions, kLimits);
  EXPECT_EQ(report.good, 1u);
  EXPECT_TRUE(report.gap_ms.empty());
  EXPECT_THAT(LoadReportText(report, kOptions), testing::Not(HasSubstr("nan")));
  EXPECT_THAT(LoadPicture(report), testing::Not(HasSubstr("nan")));
}

TEST(LoadReportTest, Text) {
  const std::string text = LoadReportText(Example(), kOptions);
  EXPECT_THAT(text, HasSubstr("4 requests of 7 tokens, 3 written each; 2 clients\n"));
  EXPECT_THAT(text, HasSubstr("first token, ms"));
  EXPECT_THAT(text, HasSubstr("25.0 % of all"));
}

TEST(LoadReportTest, ThePictureHasALineAndALimitInEachPanel) {
  const std::string svg = LoadPicture(Example());
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(svg, "<polyline")).size() - 1, 2u);
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(svg, "stroke-dasharray")).size() - 1, 2u);
  EXPECT_THAT(svg, HasSubstr("limit 500 ms"));
  EXPECT_THAT(svg, HasSubstr("p50 200 ms"));
  EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
}

}  // namespace
}  // namespace kedge
