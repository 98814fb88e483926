#include "common/engine/step.h"

#include <numeric>
#include <random>

#include "gtest/gtest.h"

namespace kedge {
namespace {

using Rows = std::vector<uint32_t>;

// Of requests whose pending rows are all ready.
Rows Divide(const Rows& pending, uint32_t budget) {
  std::vector<Claim> claims;
  for (uint32_t rows : pending) claims.push_back({.ready = rows, .left = rows});
  return DivideStep(claims, budget);
}

TEST(DivideStepTest, RequestsThatWriteComeFirst) { EXPECT_EQ(Divide({1000, 1, 1}, 10), (Rows{8, 1, 1})); }

TEST(DivideStepTest, ShortPromptIsNotHeldUpByALongOne) {
  EXPECT_EQ(Divide({4000, 20}, 64), (Rows{44, 20}));  // the long one gets what the short one leaves
  EXPECT_EQ(Divide({4000, 60}, 64), (Rows{16, 48}));  // but never less than a quarter
}

TEST(DivideStepTest, WhatIsLeftDecidesAndWhatIsReadyIsGiven) {
  // The third has few rows to go until somebody has what he waits for, and may take no more now.
  EXPECT_EQ(DivideStep({{500, 500}, {300, 300}, {40, 100}}, 64), (Rows{16, 8, 40}));
}

TEST(DivideStepTest, ALongPromptEndsHoweverManyShortOnesCome) {
  Rows pending = {3000, 2000};  // in order of arrival; short ones come behind them all the time
  int steps = 0;
  for (; pending[0] + pending[1] > 0; ++steps) {
    ASSERT_LT(steps, 400);
    pending.resize(2);
    for (int i = 0; i < 5; ++i) pending.push_back(30);
    const Rows rows = Divide(pending, 64);
    for (size_t i = 0; i < pending.size(); ++i) pending[i] -= rows[i];
  }
  EXPECT_GT(steps, 300) << "the short ones got nothing";
}

TEST(DivideStepTest, IdleRequestsGetNothing) { EXPECT_EQ(Divide({0, 5, 0}, 64), (Rows{0, 5, 0})); }

TEST(DivideStepTest, NeverMoreThanTheBudgetOrThanIsPending) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    Rows pending(random() % 20);
    for (uint32_t& rows : pending) rows = random() % 4 == 0 ? 1 : random() % 300;
    const uint32_t budget = random() % 300;
    const Rows rows = Divide(pending, budget);
    EXPECT_LE(std::accumulate(rows.begin(), rows.end(), 0u), budget);
    uint32_t sum = 0, want = 0;
    for (size_t k = 0; k < pending.size(); ++k) {
      EXPECT_LE(rows[k], pending[k]);
      sum += rows[k];
      want += pending[k];
    }
    EXPECT_EQ(sum, std::min(budget, want)) << "rows of the step are left unused";
  }
}

}  // namespace
}  // namespace kedge
