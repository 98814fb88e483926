#include "eval/results.h"

#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

EvalResults Example() {
  return {
      .settings = {.model = "tiny",
                   .fingerprint = "ab",
                   .numerics_class = "cpu-1",
                   .kv_type = "f16",
                   .text = "held-out",
                   .cases = 10,
                   .lengths = {500, 1000}},
      .records = {{.policy = "window",
                   .canonical_policy = "anchors=1",
                   .text = "a",
                   .form = "text",
                   .length = 500,
                   .measure = {.cases = 2, .positions = 7, .agreeing = 5, .divergence = 0.125, .bytes = 1ull << 40}},
                  {.policy = "window",
                   .canonical_policy = "anchors=1",
                   .heads = "retrieval=1.2",
                   .text = "b",
                   .form = "table",
                   .length = 1000,
                   .measure = {.cases = 3, .right = 1}}}};
}

TEST(ResultsTest, JsonParsesBackToTheSameValue) {
  const EvalResults results = Example();
  const absl::StatusOr<EvalResults> parsed = ParseResults(ResultsJson(results));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->settings, results.settings);
  EXPECT_EQ(parsed->records, results.records);
}

TEST(ResultsTest, KnowsWhatItHas) {
  const EvalResults results = Example();
  EXPECT_TRUE(results.Has("anchors=1", "", "a"));
  EXPECT_FALSE(results.Has("anchors=1", "", "c"));
  EXPECT_FALSE(results.Has("anchors=2", "", "a"));
  EXPECT_TRUE(results.Has("anchors=1", "retrieval=1.2", "b"));
  EXPECT_FALSE(results.Has("anchors=1", "", "b"));
  EXPECT_EQ(results.Sum("window", [](const EvalRecord&) { return true; }).cases, 5u);
  EXPECT_EQ(results.Sum("window", [](const EvalRecord& record) { return record.form == "table"; }).right, 1u);
}

TEST(ResultsTest, DamagedOrOtherFilesAreErrors) {
  const std::string json = ResultsJson(Example());
  for (const std::string& bad : {std::string(), std::string("[]"), json.substr(0, json.size() / 2),
                                 absl::StrReplaceAll(json, {{"\"version\": 1", "\"version\": 2"}}),
                                 absl::StrReplaceAll(json, {{"\"form\"", "\"from\""}}),
                                 absl::StrReplaceAll(json, {{"\"cases\": 2", "\"cases\": \"2\""}})}) {
    EXPECT_EQ(ParseResults(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace kedge
