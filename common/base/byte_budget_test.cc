#include "common/base/byte_budget.h"

#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/error_reason.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ByteBudgetTest, AdmitsUpToFourFifthsAndLetsTheAdmittedGrow) {
  ByteBudget budget(100);
  absl::StatusOr<ByteBudget::Hold> first = budget.Admit(80);
  ASSERT_TRUE(first.ok());
  const absl::Status refused = budget.Admit(1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), kMemoryFull);
  EXPECT_TRUE(RetryAfter(refused).has_value());
  EXPECT_TRUE(first->Resize(100).ok());
  EXPECT_EQ(ReasonOf(first->Resize(101)), kMemoryFull);
  EXPECT_EQ(budget.used(), 100u);
  EXPECT_TRUE(first->Resize(10).ok());
  EXPECT_TRUE(budget.Admit(70).ok());
}

TEST(ByteBudgetTest, WhatIsHeldEndsWithItsHolder) {
  ByteBudget budget(100);
  std::optional<ByteBudget::Hold> kept = *budget.Admit(30);
  {
    ByteBudget::Hold moved = *std::move(kept);
    kept.reset();
    EXPECT_EQ(budget.used(), 30u);
  }
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_FALSE(budget.Admit(UINT64_MAX).ok());
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ByteBudgetTest, ManyThreadsNeverTakeMoreThanThereIs) {
  ByteBudget budget(1000);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> most = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        const absl::StatusOr<ByteBudget::Hold> hold = budget.Admit(300);
        const uint64_t used = budget.used();
        if (used > most) most = used;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 800u);
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace kedge
