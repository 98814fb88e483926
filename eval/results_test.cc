#include "eval/results.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

EvalResults Example() {
  return {.settings = {.model = "tiny",
                       .fingerprint = "ab",
                       .has_adapter = true,
                       .numerics_class = "cpu-1",
                       .kv_type = "f16",
                       .text = "held-out\tof\nmine",
                       .cases = 10,
                       .lengths = {500, 1000}},
          .policies = {{.name = "window", .canonical = "anchors=1"},
                       {.name = "salient", .canonical = "anchors=2@bm25", .heads = "retrieval=1.2"}},
          .cases = {{.text = "a", .kind = "prose", .form = "text", .length = 500, .full_rows = 7, .full_bytes = 70},
                    {.text = "b", .kind = "code", .number = 4, .form = "table", .length = 1000, .full_rows = 9}},
          .records = {{0, 0, {.loss = -3, .tokens = 4, .divergence = 125, .agreeing = 3, .bytes = 1ull << 40}},
                      {0, 1, {.right = true, .found = 1000000, .same = true, .rows = 3}},
                      {1, 1, {.found = 500000, .rows = 2, .bytes = 20}}}};
}

std::string Text(const EvalResults& results) {
  WrittenResults nothing;
  return MissingLines(results, &nothing);
}

void ExpectSame(const EvalResults& a, const EvalResults& b) {
  EXPECT_EQ(a.settings, b.settings);
  EXPECT_EQ(a.policies, b.policies);
  EXPECT_EQ(a.cases, b.cases);
  EXPECT_EQ(a.records, b.records);
}

TEST(ResultsTest, LinesParseBackToTheSameValue) {
  const absl::StatusOr<EvalResults> parsed = ParseResults(Text(Example()));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ExpectSame(*parsed, Example());
}

TEST(ResultsTest, AFileGrowsByWhatIsNew) {
  EvalResults results = Example();
  WrittenResults written;
  std::string file = MissingLines(results, &written);
  EXPECT_EQ(MissingLines(results, &written), "");
  results.Add(results.NumberOf(MeasuredPolicy{.name = "new", .canonical = "n"}), 0, {.tokens = 5});
  results.Add(1, results.NumberOf(MeasuredCase{.text = "c"}), {.tokens = 6});
  const std::string more = MissingLines(results, &written);
  EXPECT_EQ(more,
            "policy\t2\tnew\tn\t\ncase\t2\tc\t\t0\t\t0\t0\t0\n"
            "o\t2\t0\t0\t0\t0\t0\t5\t0\t0\t0\t0\no\t1\t2\t0\t0\t0\t0\t6\t0\t0\t0\t0\n");
  const absl::StatusOr<EvalResults> parsed = ParseResults(absl::StrCat(file, more));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ExpectSame(*parsed, results);
}

TEST(ResultsTest, WhatIsThereIsNotAddedTwice) {
  EvalResults results = Example();
  EXPECT_EQ(results.NumberOf(MeasuredPolicy{.name = "other name", .canonical = "anchors=1"}), 0u);
  EXPECT_EQ(results.NumberOf(MeasuredPolicy{.name = "window", .canonical = "anchors=1", .heads = "x"}), 2u);
  EXPECT_EQ(results.NumberOf(Example().cases[1]), 1u);
  results.Add(0, 1, {});
  EXPECT_EQ(results.records, Example().records);
  EXPECT_EQ(results.Count({.canonical = "anchors=1"}, "b"), 1u);
  EXPECT_EQ(results.Count({.canonical = "anchors=1"}, "c"), 0u);
  EXPECT_EQ(results.Count({.canonical = "anchors=2@bm25"}, "b"), 0u);  // by other heads
}

TEST(ResultsTest, ALineThatWasTornOffIsLeftOut) {
  const std::string text = Text(Example());
  for (size_t cut = 1; cut < 20; ++cut) {
    const absl::StatusOr<EvalResults> parsed = ParseResults(text.substr(0, text.size() - cut));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->records.size(), 2u);
  }
}

TEST(ResultsTest, DamagedOrOtherFilesAreErrors) {
  const std::string text = Text(Example());
  ASSERT_TRUE(ParseResults(text).ok());
  for (const std::string& bad :
       {std::string(), std::string("[]\n\n"), absl::StrReplaceAll(text, {{"kedge-eval\t2", "kedge-eval\t1"}}),
        absl::StrReplaceAll(text, {{"\"kv_type\"", "\"type\""}}),
        absl::StrReplaceAll(text, {{"{\"model\"", "\"model\""}}),
        absl::StrReplaceAll(text, {{"policy\t1", "policy\t2"}}), absl::StrReplaceAll(text, {{"case\t1", "case\t0"}}),
        absl::StrCat(text, "o\t0\t2\t0\t0\t0\t0\t5\t0\t0\t0\t0\n"),
        absl::StrCat(text, "o\t2\t0\t0\t0\t0\t0\t5\t0\t0\t0\t0\n"),
        absl::StrCat(text, "o\t0\t0\t0\t0\t0\t0\t5\t0\t0\t0\n"),
        absl::StrCat(text, "o\t0\t0\t0\t0\t0\t0\t5\t0\t0\t0\t0\t0\n"),
        absl::StrCat(text, "o\t0\t0\t2\t0\t0\t0\t5\t0\t0\t0\t0\n"),
        absl::StrCat(text, "o\t0\t0\t0\t0\t0\tx\t5\t0\t0\t0\t0\n"), absl::StrCat(text, "\n"),
        absl::StrCat(text, "x\t1\n")}) {
    EXPECT_EQ(ParseResults(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(ResultsTest, SumsAreOfWantedCases) {
  const EvalResults results = Example();
  const Measure all = results.Sum(0, [](const MeasuredCase&) { return true; });
  EXPECT_EQ(all.cases, 2u);
  EXPECT_EQ(all.right, 1u);
  EXPECT_EQ(all.found, 1.0);
  EXPECT_EQ(all.same, 1u);
  EXPECT_EQ(all.tokens, 4u);
  EXPECT_EQ(all.agreeing, 3u);
  EXPECT_DOUBLE_EQ(all.loss, -3e-6);
  EXPECT_DOUBLE_EQ(all.divergence, 125e-6);
  EXPECT_EQ(all.rows, 3u);
  EXPECT_EQ(all.bytes, 1ull << 40);
  EXPECT_EQ(all.full_rows, 16u);
  EXPECT_EQ(all.full_bytes, 70u);
  EXPECT_DOUBLE_EQ(Perplexity(all), std::exp(-3e-6 / 4));
  EXPECT_TRUE(std::isnan(Perplexity(Measure())));
  EXPECT_EQ(results.Sum(0, [](const MeasuredCase& made) { return made.form == "text"; }).cases, 1u);
}

TEST(ResultsTest, JsonHasTheNamesBesideTheFigures) {
  const auto json = nlohmann::json::parse(ResultsJson(Example()));
  EXPECT_EQ(json["settings"]["lengths"][1], 1000);
  const auto& record = json["records"][2];
  EXPECT_EQ(record["policy"], "salient");
  EXPECT_EQ(record["text"], "b");
  EXPECT_EQ(record["number"], 4);
  EXPECT_EQ(record["found"], 500000);
  EXPECT_EQ(record["right"], false);
}

}  // namespace
}  // namespace kedge
