#include "eval/picture.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;
using testing::Not;

EvalResults Example(const std::string& other) {
  EvalResults results{.settings = {.lengths = {500, 1000}}, .policies = {{.name = "full"}, {.name = other}}};
  for (uint32_t policy = 0; policy < 2; ++policy) {
    for (uint32_t length : {500u, 1000u}) {
      const bool full = policy == 0;
      const uint32_t text = results.NumberOf(MeasuredCase{.form = "text", .length = length, .full_bytes = 100});
      results.Add(policy, text, {.loss = (full ? 300 : 320) * kMillion, .tokens = 100, .bytes = full ? 100u : 20u});
      const uint32_t asked = results.NumberOf(MeasuredCase{.form = "alike", .length = length, .full_bytes = 100});
      results.Add(policy, asked, {.right = full, .bytes = full ? 100u : 10u});
    }
  }
  return results;
}

bool IsText(const EvalResults& results, const EvalRecord& record) { return results.cases[record.made].form == "text"; }

TEST(PictureTest, EachPolicyHasALineInEachPanelAndItsName) {
  const std::string svg = QualityPicture(Example("window,recent=64"));
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(svg, "<polyline")).size() - 1, 4u);
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(svg, "<circle")).size() - 1, 8u + 2);
  EXPECT_THAT(svg, HasSubstr(">window,recent=64</text>"));
  EXPECT_THAT(svg, HasSubstr("</svg>\n"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(PictureTest, NamesAreEscaped) {
  const std::string svg = QualityPicture(Example("a<b&c"));
  EXPECT_THAT(svg, HasSubstr(">a&lt;b&amp;c</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("a<b")));
}

TEST(PictureTest, WhatIsFarWorseLiesAtTheEdgeAndTheTitleSaysSo) {
  EvalResults results = Example("window");
  EXPECT_THAT(QualityPicture(results), Not(HasSubstr("at the edge")));
  for (EvalRecord& record : results.records) {
    if (record.policy != 0 && IsText(results, record)) record.outcome.loss = 900 * kMillion;
  }
  const std::string svg = QualityPicture(results);
  EXPECT_THAT(svg, HasSubstr("above 2: at the edge"));
  EXPECT_THAT(svg, HasSubstr("cy=\"380.0\""));  // the panel's top
}

TEST(PictureTest, WhatWasNotMeasuredIsLeftOut) {
  EvalResults results = Example("window");
  std::erase_if(results.records, [&](const EvalRecord& record) { return IsText(results, record); });
  const std::string svg = QualityPicture(results);
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(svg, "<polyline")).size() - 1, 2u);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace kedge
