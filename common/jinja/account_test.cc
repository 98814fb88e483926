#include "common/jinja/account.h"

#include <utility>

#include "gtest/gtest.h"

namespace kedge::jinja {
namespace {

TEST(Account, StepsRunOut) {
  Account account(Limits{.steps = 3});
  EXPECT_TRUE(account.Step(3).ok());
  EXPECT_TRUE(account.StepBytes(255).ok());  // less than a step
  EXPECT_EQ(account.StepBytes(256).message(), "the template takes more than 3 steps");
  EXPECT_EQ(account.Step(0).code(), absl::StatusCode::kResourceExhausted);  // and stay so
  EXPECT_EQ(account.steps(), 4);
}

TEST(Account, MemoryComesBackAndARefusalTakesNone) {
  Account account(Limits{.memory_bytes = 100});
  ASSERT_TRUE(account.Take(60).ok());
  EXPECT_EQ(account.Take(41).message(), "the template needs more than 100 bytes of memory");
  EXPECT_FALSE(account.Check(SIZE_MAX).ok());  // no sum that wraps
  EXPECT_TRUE(account.Take(40).ok());
  {
    Holding first(&account, 60);
    Holding second(std::move(first));
    Holding third(&account, 40);
    third = std::move(second);  // gives its own back, and no byte twice
    EXPECT_FALSE(account.Check(41).ok());
    EXPECT_TRUE(account.Check(40).ok());
  }
  EXPECT_TRUE(account.Check(100).ok());
}

}  // namespace
}  // namespace kedge::jinja
