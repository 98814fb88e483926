#include "eval/report.h"

#include <cmath>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

EvalResults Example() {
  EvalResults results{.settings = {.model = "tiny",
                                   .fingerprint = "0123456789abcdef",
                                   .numerics_class = "cpu-1",
                                   .kv_type = "f16",
                                   .text = "held-out",
                                   .cases = 10,
                                   .lengths = {500, 1000}}};
  for (const char* policy : {"full", "window"}) {
    const bool full = policy[0] == 'f';
    results.records.push_back({.policy = policy,
                               .text = "a",
                               .form = "text",
                               .length = 1000,
                               .measure = {.cases = 1,
                                           .positions = 100,
                                           .agreeing = full ? 100u : 75u,
                                           .divergence = full ? 0 : 12.5,
                                           .surprise = full ? 100 * std::log(20.0) : 100 * std::log(25.0),
                                           .given = 100,
                                           .kept_rows = full ? 1000u : 100u,
                                           .full_rows = 1000,
                                           .bytes = full ? 1001u : 125u,
                                           .full_bytes = 1000}});
    results.records.push_back({.policy = policy,
                               .text = "b",
                               .form = "table",
                               .length = 500,
                               .measure = {.cases = 8,
                                           .right = full ? 6u : 2u,
                                           .same = full ? 8u : 1u,
                                           .kept_rows = full ? 1000u : 300u,
                                           .full_rows = 1000,
                                           .bytes = full ? 1001u : 275u,
                                           .full_bytes = 1000}});
  }
  return results;
}

TEST(ReportTest, FiguresAreTheSumsOverTheirWholes) {
  const std::string report = ReportMarkdown(Example());
  EXPECT_THAT(report, HasSubstr("| `full` | 100.1 % | 100.0 % | 1.000 | 100.0 % | 0.000 | 75.0 % | 100.0 % |\n"));
  EXPECT_THAT(report, HasSubstr("| `window` | 20.0 % | 20.0 % | 1.250 | 75.0 % | 0.125 | 25.0 % | 12.5 % |\n"));
  EXPECT_THAT(report, HasSubstr("| policy | table |\n|---|---:|\n"));  // the forms that there are
  EXPECT_THAT(report, HasSubstr("| `window` | 2 of 8 |\n"));
  EXPECT_THAT(report, HasSubstr("| `window` | 2 of 8 |  |\n"));  // by length
  EXPECT_THAT(report, HasSubstr("| `window` |  | 1.250 |\n"));
  EXPECT_THAT(report, HasSubstr("| `window` | 27.5 % | 12.5 % |\n"));
  EXPECT_THAT(report, HasSubstr("tiny (SHA-256 0123456789ab…)"));
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
