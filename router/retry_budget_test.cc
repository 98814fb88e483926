#include "router/retry_budget.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RetryBudgetTest, AQuietRouterMayTryAgain) {
  RetryBudget budget;
  for (int i = 0; i < RetryBudget::kMost; ++i) EXPECT_TRUE(budget.TakeRetry());
  EXPECT_FALSE(budget.TakeRetry());
}

TEST(RetryBudgetTest, InTheLongRunOneCallInTenIsASecondTry) {
  RetryBudget budget;
  int retries = 0;
  for (int i = 0; i < 10000; ++i) {
    budget.CountCall();
    while (budget.TakeRetry()) ++retries;
  }
  EXPECT_NEAR(retries, 1000 + RetryBudget::kMost, 2);
}

TEST(RetryBudgetTest, NoMoreIsSavedThanABurst) {
  RetryBudget budget;
  for (int i = 0; i < 10000; ++i) budget.CountCall();
  int retries = 0;
  while (budget.TakeRetry()) ++retries;
  EXPECT_EQ(retries, RetryBudget::kMost);
}

}  // namespace
}  // namespace kedge
