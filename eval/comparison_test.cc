#include "eval/comparison.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "eval/eval_texts.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// Six questions on three texts and two documents; the policy is right where full attention is not once, and the other
// way round twice.
EvalResults Example() {
  EvalResults results{.policies = {{.name = "window", .canonical = "w"}, {.name = "full", .canonical = "f"}}};
  const bool full_right[] = {true, true, true, true, false, false}, right[] = {true, true, false, false, true, false};
  for (uint32_t i = 0; i < 6; ++i) {
    const uint32_t made = results.NumberOf(MeasuredCase{
        .text = absl::StrCat("t", i / 2), .number = i % 2, .form = i < 4 ? "single" : "pair", .full_bytes = 100});
    results.Add(1, made, {.right = full_right[i], .loss = 1000000, .tokens = 4, .bytes = 101});
    results.Add(0, made, {.right = right[i], .loss = 1000000 + i * 200000, .tokens = 4, .bytes = 10});
  }
  for (const char* document : {"a", "b"}) {
    const uint32_t made = results.NumberOf(MeasuredCase{.text = document, .form = kTextForm});
    results.Add(1, made, {.loss = 200 * kMillion, .tokens = 100});
    results.Add(0, made, {.loss = (*document == 'a' ? 210 : 230) * kMillion, .tokens = 100});
  }
  return results;
}

TEST(ComparisonTest, PairsAreCountedAndDifferencesAreMeans) {
  const std::vector<Comparison> comparisons = ComparePolicies(Example(), [](const MeasuredCase&) { return true; });
  const Comparison& window = comparisons[0];
  EXPECT_EQ(window.asked.cases, 6u);
  EXPECT_EQ(window.asked.right, 3u);
  EXPECT_EQ(window.asked_full.right, 4u);
  EXPECT_EQ(window.lost, 2u);
  EXPECT_EQ(window.won, 1u);
  EXPECT_EQ(window.p, McNemarP(2, 1));
  EXPECT_NEAR(window.points.value, -100.0 / 6, 1e-9);
  // By texts the differences are 0, -2 and 1 of two: no draw is outside of -100 and 50.
  EXPECT_NEAR(window.points.low, -100, 1e-9);
  EXPECT_NEAR(window.points.high, 50, 1e-9);
  EXPECT_NEAR(window.loss.value, 0.5, 1e-9);  // 0, 0.2, .. 1 nats
  EXPECT_NEAR(window.perplexity.value, std::exp(0.2), 1e-9);
  EXPECT_NEAR(window.perplexity.low, std::exp(0.1), 1e-9);
  EXPECT_NEAR(window.perplexity.high, std::exp(0.3), 1e-9);
  EXPECT_EQ(window.continued.tokens, 200u);
  EXPECT_EQ(comparisons[1].points.value, 0);
  EXPECT_EQ(comparisons[1].p, 1);
}

TEST(ComparisonTest, OnlyWantedCasesThatBothHaveCount) {
  EvalResults results = Example();
  std::erase_if(results.records, [](const EvalRecord& record) { return record.policy == 0 && record.made == 5; });
  const Comparison pairs = ComparePolicies(results, [](const MeasuredCase& made) { return made.form == "pair"; })[0];
  EXPECT_EQ(pairs.asked.cases, 1u);
  EXPECT_EQ(pairs.asked_full.cases, 1u);
  EXPECT_EQ(pairs.won, 1u);
  EXPECT_TRUE(std::isnan(pairs.points.low));  // one text
  EXPECT_TRUE(std::isnan(pairs.perplexity.value));
}

TEST(ComparisonTest, HolmCountsEveryPolicyButFull) {
  EvalResults results = Example();
  results.policies.push_back({.name = "other", .canonical = "o"});
  for (uint32_t made = 0; made < 4; ++made) results.Add(2, made, {.right = false});
  const std::vector<Comparison> comparisons = ComparePolicies(results, [](const MeasuredCase&) { return true; });
  EXPECT_EQ(comparisons[2].p, McNemarP(4, 0));
  EXPECT_EQ(comparisons[2].adjusted_p, 2 * McNemarP(4, 0));
}

}  // namespace
}  // namespace kedge
