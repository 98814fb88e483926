#include "common/base/svg.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

TEST(SvgTest, AnAxisPlacesValuesAndStopsAtItsEnds) {
  const SvgAxis plain{.from_value = 0, .to_value = 10, .from = 100, .to = 200, .logarithmic = false};
  EXPECT_DOUBLE_EQ(plain(5), 150);
  EXPECT_DOUBLE_EQ(plain(-1), 100);
  EXPECT_DOUBLE_EQ(plain(11), 200);
  const SvgAxis logarithmic{.from_value = 1, .to_value = 100, .from = 300, .to = 100, .logarithmic = true};
  EXPECT_DOUBLE_EQ(logarithmic(10), 200);
}

TEST(SvgTest, TextIsEscaped) {
  EXPECT_EQ(SvgText(1, 2, "end", "a < b & c"),
            "<text x=\"1.0\" y=\"2.0\" text-anchor=\"end\">a &lt; b &amp; c</text>\n");
}

TEST(SvgTest, BeginsWithItsSizeAndColoursRepeat) {
  EXPECT_THAT(SvgBegin(300, 200), HasSubstr("viewBox=\"0 0 300 200\""));
  EXPECT_STRNE(SvgColour(0), SvgColour(1));
  EXPECT_STREQ(SvgColour(0), SvgColour(14));
}

}  // namespace
}  // namespace kedge
