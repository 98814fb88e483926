#include "eval/scoring.h"

#include <cmath>

#include "gtest/gtest.h"

namespace kedge {
namespace {

// Two ids: the second one has this probability.
std::vector<float> Coin(double heads) {
  return {static_cast<float>(std::log(1 - heads)), static_cast<float>(std::log(heads))};
}

TEST(ScoringTest, AGivenTextIsComparedTokenByToken) {
  Outcome outcome;
  ScoreGiven(1, Coin(0.25), Coin(0.25), &outcome);
  ScoreGiven(0, Coin(0.25), Coin(0.75), &outcome);
  EXPECT_EQ(outcome.tokens, 2u);
  EXPECT_EQ(outcome.agreeing, 1u);
  EXPECT_NEAR(outcome.loss, kMillion * (-std::log(0.25) - std::log(0.25)), 2);
  EXPECT_NEAR(outcome.divergence, kMillion * (0.75 * std::log(3.0) - 0.25 * std::log(3.0)), 2);
}

TEST(ScoringTest, WhatIsImpossibleIsAGreatLossAndNoOtherNumber) {
  Outcome outcome;
  ScoreGiven(1, Coin(0.5), {0.0f, -INFINITY}, &outcome);
  EXPECT_EQ(outcome.loss, 1000000 * kMillion);
  EXPECT_EQ(outcome.divergence, 1000000 * kMillion);
}

TEST(ScoringTest, AReplyIsRightIfItHasAllThatWasAskedFor) {
  auto scored = [](const std::string& reply, const std::vector<std::string>& answers) {
    Outcome outcome;
    ScoreReply(reply, {.answers = answers}, &outcome);
    return std::make_pair(outcome.right, outcome.found);
  };
  EXPECT_EQ(scored("It is 4821.", {"4821"}), std::make_pair(true, 1000000u));
  EXPECT_EQ(scored("It is 48210.", {"4821"}), std::make_pair(false, 0u));
  EXPECT_EQ(scored("4821 and 5", {"4821", "1234", "5"}), std::make_pair(false, 666667u));
}

}  // namespace
}  // namespace kedge
