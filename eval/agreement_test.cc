#include "eval/agreement.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(AgreementTest, LogSoftmaxIsNormalisedAndDoesNotOverflow) {
  const std::vector<float> logits = {1000, 999, -1000};
  const std::vector<float> logprobs = LogSoftmax(logits);
  EXPECT_NEAR(std::exp(logprobs[0]) + std::exp(logprobs[1]), 1, 1e-5);
  EXPECT_NEAR(logprobs[0] - logprobs[1], 1, 1e-4);
}

TEST(AgreementTest, TiesGoToTheLowerId) {
  const std::vector<float> logits = {1, 3, 3};
  EXPECT_EQ(Likeliest(logits), 1u);
}

TEST(AgreementTest, DivergenceOfKnownDistributions) {
  const std::vector<float> fair = {std::log(0.5f), std::log(0.5f)};
  const std::vector<float> biased = {std::log(0.25f), std::log(0.75f)};
  EXPECT_NEAR(Divergence(fair, fair), 0, 1e-7);
  EXPECT_NEAR(Divergence(fair, biased), 0.5 * std::log(2.0) + 0.5 * std::log(0.5 / 0.75), 1e-6);
  EXPECT_NEAR(Divergence(biased, fair), 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-6);
  const float never = -std::numeric_limits<float>::infinity();
  EXPECT_NEAR(Divergence({{0, never}}, fair), std::log(2.0), 1e-6);  // what never happens adds nothing
}

}  // namespace
}  // namespace kedge
