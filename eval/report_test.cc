#include "eval/report.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

EvalResults Example() {
  EvalResults results{
      .settings = {.model = "tiny",
                   .fingerprint = "0123456789abcdef",
                   .numerics_class = "cpu-1",
                   .kv_type = "f16",
                   .text = "held-out",
                   .cases = 10,
                   .lengths = {500, 1000}},
      .policies = {{.name = "full", .canonical = "anchors=none,recent=all"},
                   {.name = "window", .canonical = "anchors=none,recent=9"},
                   {.name = "salient@bm25", .canonical = "anchors=text,prefill=full,write=full,salient=0.1@bm25"},
                   {.name = "salient@random", .canonical = "anchors=text,prefill=full,write=full,salient=0.1@random"}}};
  for (uint32_t policy = 0; policy < results.policies.size(); ++policy) {
    for (const char* document : {"d", "e"}) {
      const uint32_t made = results.NumberOf(MeasuredCase{
          .text = document, .kind = "prose", .form = "text", .length = 1000, .full_rows = 100, .full_bytes = 1000});
      const double loss = std::log(policy == 0 ? 20 : 25) * 100;
      results.Add(policy, made,
                  {.loss = std::llround(loss * kMillion),
                   .tokens = 100,
                   .divergence = policy == 0 ? 0 : 12500000,
                   .agreeing = policy == 0 ? 100u : 75u,
                   .rows = policy == 0 ? 100u : 20u,
                   .bytes = policy == 0 ? 1001u : 200u});
    }
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t made = results.NumberOf(MeasuredCase{
          .text = absl::StrCat("t", i / 2), .number = i % 2, .form = "table", .length = 500, .full_bytes = 1000});
      const bool right = policy == 0 ? i < 6 : i == 0 || i == 7;
      results.Add(policy, made,
                  {.right = right,
                   .found = right ? 1000000u : 500000u,
                   .same = policy == 0 || i == 0,
                   .loss = policy == 0 ? 2000000 : 2500000,
                   .tokens = 4,
                   .bytes = policy == 0 ? 1000u : 100u});
    }
  }
  return results;
}

TEST(ReportTest, FiguresAreTheSumsOverTheirWholes) {
  const std::string report = ReportMarkdown(Example());
  EXPECT_THAT(report, HasSubstr("Model tiny (SHA-256 0123456789ab…)"));
  EXPECT_THAT(report, HasSubstr("8 questions on 4 texts, 200 tokens that continue 2 documents"));
  EXPECT_THAT(report, HasSubstr("| `full` | 100.0 % | 75.0 % |  |  |  |  | no | no | yes | full |\n"));
  // Texts lose 1, 2, 2 and win 1 of two questions: -1 of 2 in the mean. Three policies: Holm's p is at most thrice p.
  EXPECT_THAT(report, HasSubstr("| `window` | 12.0 % | 25.0 % | -50.0 ["));
  EXPECT_THAT(report, HasSubstr("] | 0.219 (0.656) | +0.50 [+0.50, +0.50] | 1.250 [1.250, 1.250] | no | no | yes | "
                                "masked |\n"));
  EXPECT_THAT(report, HasSubstr("| 1.250 [1.250, 1.250] | yes | no | yes | full |\n"));  // bm25
  EXPECT_THAT(report, HasSubstr("| `window` |"));
  EXPECT_THAT(report, HasSubstr("| 5 | 1 | 62.5 % | 12.5 % | 75.0 % | 0.125 |\n"));
  EXPECT_THAT(report, HasSubstr("| table | 6 of 8 | 2 (+1 −5) | 2 (+1 −5) | 2 (+1 −5) |\n"));
  EXPECT_THAT(report, HasSubstr("| `window` | 2 of 8 |  |\n"));  // by length
  EXPECT_THAT(report, HasSubstr("| `window` |  | 1.250 |\n"));
  EXPECT_THAT(report, HasSubstr("| prose |  | 1.250 [1.250, 1.250] | 1.250"));
  EXPECT_THAT(report, HasSubstr("| `window` | 10.0 % | 20.0 % |\n"));
}

TEST(ReportTest, WhatIsUnlikelyToBeChanceIsMarked) {
  EvalResults results = Example();
  EXPECT_THAT(ReportMarkdown(results), testing::Not(HasSubstr("] * |")));
  for (EvalRecord& record : results.records) {
    if (results.cases[record.made].form == "table") record.outcome.right = record.policy == 0;
  }
  EXPECT_THAT(ReportMarkdown(results), HasSubstr("] * |"));  // 8 of 8 lost, thrice
}

TEST(ReportTest, EveryTableHasAsManyCellsAsHeads) {
  size_t columns = 0, lines = 0;
  const std::string report = ReportMarkdown(Example());
  for (size_t begin = 0; begin < report.size(); begin = report.find('\n', begin) + 1) {
    const std::string line = report.substr(begin, report.find('\n', begin) - begin);
    const size_t bars = std::count(line.begin(), line.end(), '|');
    if (bars > 0 && columns > 0) {
      EXPECT_EQ(bars, columns) << line;
    }
    columns = bars;
    ++lines;
  }
  EXPECT_GT(lines, 20u);
}

TEST(ReportTest, FiguresAreReplacedBetweenTheirMarks) {
  const std::string document = "# Title\n\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nmore\n";
  const std::string once = ReplaceFigures(document, "new\n").value();
  EXPECT_EQ(once, "# Title\n\n<!-- figures: begin -->\n\nnew\n\n<!-- figures: end -->\nmore\n");
  EXPECT_EQ(ReplaceFigures(once, "new\n").value(), once);
  EXPECT_EQ(ReplaceFigures("no marks", "new").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReplaceFigures("<!-- figures: end --><!-- figures: begin -->", "new").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace kedge
