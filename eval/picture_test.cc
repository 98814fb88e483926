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
  EvalResults results{.settings = {.lengths = {500, 1000}}};
  for (const std::string& policy : {std::string("full"), other}) {
    for (uint32_t length : {500u, 1000u}) {
      const bool full = policy == "full";
      results.records.push_back(
          {.policy = policy,
           .form = "text",
           .length = length,
           .measure = {.surprise = full ? 300.0 : 320.0, .given = 100, .bytes = full ? 100u : 20u, .full_bytes = 100}});
      results.records.push_back(
          {.policy = policy,
           .form = "alike",
           .length = length,
           .measure = {.cases = 4, .right = full ? 4u : 1u, .bytes = full ? 100u : 10u, .full_bytes = 100}});
    }
  }
  return results;
}

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
    if (record.policy != "full" && record.form == "text") record.measure.surprise = 900;
  }
  const std::string svg = QualityPicture(results);
  EXPECT_THAT(svg, HasSubstr("above 2: at the edge"));
  EXPECT_THAT(svg, HasSubstr("cy=\"380.0\""));  // the panel's top
}

TEST(PictureTest, WhatWasNotMeasuredIsLeftOut) {
  EvalResults results = Example("window");
  std::erase_if(results.records, [](const EvalRecord& record) { return record.form == "text"; });
  const std::string svg = QualityPicture(results);
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(svg, "<polyline")).size() - 1, 2u);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace kedge
