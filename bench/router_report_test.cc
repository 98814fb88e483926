#include "bench/router_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

absl::Time At(double ms) { return absl::UnixEpoch() + absl::Milliseconds(ms); }

// Two streams of two tokens, written at 0 and 100 ms, and read so many ms later.
RouterRun RunWith(std::vector<double> delays_ms, uint64_t messages, absl::Duration cpu) {
  const TokenTimes written = {{At(0), At(100)}, {At(0), At(100)}};
  const TokenTimes read = {{At(delays_ms[0]), At(100 + delays_ms[1])}, {At(delays_ms[2]), At(100 + delays_ms[3])}};
  return RouterRunOf(written, read, messages, cpu);
}

RouterRow Example() {
  return {.work = {2, 10},
          .direct = {RunWith({1, 1, 1, 1}, 4, {}), RunWith({3, 3, 3, 3}, 4, {}), RunWith({2, 2, 2, 2}, 4, {})},
          .relayed = {RunWith({2, 2, 2, 2}, 4, absl::Milliseconds(1)), RunWith({3, 3, 3, 3}, 4, absl::Milliseconds(1)),
                      RunWith({2, 2, 2, 2}, 4, absl::Milliseconds(1))},
          .routed = {RunWith({2, 2, 2, 100}, 2, absl::Milliseconds(4)), RunWith({9, 9, 9, 9}, 2, absl::Milliseconds(8)),
                     RunWith({4, 4, 4, 4}, 2, absl::Milliseconds(2))}};
}

TEST(RouterReportTest, ARunCountsFromTheFirstWritingToTheLastReading) {
  const RouterRun run = RunWith({1, 2, 3, 100}, 3, absl::Milliseconds(5));
  EXPECT_THAT(run.delay_ms,
              ElementsAre(DoubleNear(1, 1e-6), DoubleNear(2, 1e-6), DoubleNear(3, 1e-6), DoubleNear(100, 1e-6)));
  EXPECT_NEAR(run.seconds, 0.2, 1e-9);
  EXPECT_EQ(run.tokens(), 4);
  EXPECT_EQ(run.messages, 3u);
  EXPECT_NEAR(run.cpu_seconds, 0.005, 1e-9);
}

TEST(RouterReportTest, JsonHasMediansOfTheRepetitions) {
  const auto row = nlohmann::json::parse(RouterReportJson({Example()}))["rows"][0];
  EXPECT_EQ(row["work"], "2x10");
  EXPECT_NEAR(row["direct"]["p50_ms"].get<double>(), 2, 1e-6);
  EXPECT_NEAR(row["router"]["p50_ms"].get<double>(), 4, 1e-6);
  EXPECT_EQ(row["direct"]["tokens_per_message"], 1);
  EXPECT_EQ(row["router"]["tokens_per_message"], 2);
  EXPECT_NEAR(row["router"]["tokens_per_s"].get<double>(), 4 / 0.109, 1e-6);  // the run with 9 ms is the median
  EXPECT_NEAR(row["router"]["cpu_us_per_token"].get<double>(), 1000, 1e-6);
  EXPECT_NEAR(row["router"]["tokens_per_core_s"].get<double>(), 1000, 1e-6);
  // What a repetition added is told of its own pair: 1, 6 and 2.
  EXPECT_NEAR(row["router"]["added_p50_ms"].get<double>(), 2, 1e-6);
  ASSERT_EQ(row["router"]["added_p50_runs_ms"].size(), 3u);
  EXPECT_NEAR(row["router"]["added_p50_runs_ms"][1].get<double>(), 6, 1e-6);
  EXPECT_NEAR(row["relay"]["added_p50_ms"].get<double>(), 0, 1e-6);  // 1, 0 and 0
  EXPECT_NEAR(row["relay"]["cpu_us_per_token"].get<double>(), 250, 1e-6);
  EXPECT_FALSE(row["direct"].contains("cpu_us_per_token"));
}

TEST(RouterReportTest, TextHasThreeLinesForAWork) {
  const std::string text = RouterReportText({Example()});
  EXPECT_THAT(text, HasSubstr("\n2x10       direct      2.000     2.000     2.000         39       1.00\n"));
  EXPECT_THAT(text, HasSubstr("\n           relay       2.000 "));
  EXPECT_THAT(text, HasSubstr("\n           router      4.000 "));
  EXPECT_THAT(text, HasSubstr("     2.000    1000.0          1000\n"));
}

}  // namespace
}  // namespace kedge
