#include "eval/measure.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// Over two ids: probability `p` of id 1.
std::vector<float> Coin(double p) { return {float(std::log(1 - p)), float(std::log(p))}; }

std::string TextOfCoins(absl::Span<const uint32_t> ids) {
  std::string text = "code";
  for (uint32_t id : ids) absl::StrAppend(&text, " ", id == 1 ? "4821" : "none");
  return text;
}

TEST(MeasureTest, AGivenTextIsMeasuredEverywhere) {
  const Continuation continuation{.prompt = {0, 0, 0, 0}, .given = {1, 1, 0}};
  const Continued full{.ids = {1, 1, 0}, .logprobs = {Coin(0.75), Coin(0.75), Coin(0.75)}};
  const Continued other{
      .ids = {1, 1, 0}, .logprobs = {Coin(0.75), Coin(0.25), Coin(0.25)}, .state_rows = 2, .state_bytes = 22};
  Measure measure;
  AddCase(continuation, {}, full, other, /*f16_row_bytes=*/10, TextOfCoins, &measure);
  EXPECT_EQ(measure.cases, 1u);
  EXPECT_EQ(measure.positions, 3u);
  EXPECT_EQ(measure.agreeing, 1u);
  EXPECT_EQ(measure.given, 3u);
  EXPECT_NEAR(measure.surprise, -std::log(0.75) - std::log(0.25) - std::log(0.75), 1e-6);
  EXPECT_NEAR(measure.divergence, 2 * (0.75 * std::log(3.0) - 0.25 * std::log(3.0)), 1e-6);
  EXPECT_EQ(measure.right + measure.same, 0u);
  EXPECT_EQ(measure.kept_rows, 2u);
  EXPECT_EQ(measure.full_rows, 3u);
  EXPECT_EQ(measure.bytes, 22u);
  EXPECT_EQ(measure.full_bytes, 30u);
}

TEST(MeasureTest, AnswersAreComparedUpToTheFirstIdThatDiffers) {
  const Continuation continuation{.prompt = {0}, .max_new = 3};
  const Continued full{.ids = {0, 1, 1}, .logprobs = {Coin(0.25), Coin(0.75), Coin(0.75)}};
  const Continued other{.ids = {0, 0, 0}, .logprobs = {Coin(0.25), Coin(0.25), Coin(0.01)}};
  Measure measure;
  AddCase(continuation, {{"4821"}}, full, other, /*f16_row_bytes=*/10, TextOfCoins, &measure);
  EXPECT_EQ(measure.positions, 2u);
  EXPECT_EQ(measure.agreeing, 1u);
  EXPECT_EQ(measure.given, 0u);
  EXPECT_EQ(measure.right, 0u);
  EXPECT_EQ(measure.same, 0u);
  AddCase(continuation, {{"4821"}}, full, full, /*f16_row_bytes=*/10, TextOfCoins, &measure);
  EXPECT_EQ(measure.cases, 2u);
  EXPECT_EQ(measure.right, 1u);
  EXPECT_EQ(measure.same, 1u);
  AddCase(continuation, {{"4821", "1234"}}, full, full, /*f16_row_bytes=*/10, TextOfCoins, &measure);
  EXPECT_EQ(measure.right, 1u) << "one answer of two is not right";
}

TEST(MeasureTest, SumsAddUp) {
  const Measure one{.cases = 1,
                    .right = 2,
                    .same = 3,
                    .positions = 4,
                    .agreeing = 5,
                    .divergence = 6,
                    .surprise = 7,
                    .given = 8,
                    .kept_rows = 9,
                    .full_rows = 10,
                    .bytes = 11,
                    .full_bytes = 12};
  Measure sum = one;
  sum += one;
  EXPECT_EQ(sum, (Measure{.cases = 2,
                          .right = 4,
                          .same = 6,
                          .positions = 8,
                          .agreeing = 10,
                          .divergence = 12,
                          .surprise = 14,
                          .given = 16,
                          .kept_rows = 18,
                          .full_rows = 20,
                          .bytes = 22,
                          .full_bytes = 24}));
}

}  // namespace
}  // namespace kedge
