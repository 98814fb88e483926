#include "bench/load.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <set>
#include <thread>

#include "gtest/gtest.h"

namespace kedge {
namespace {

BenchText Counting(uint32_t count) {
  std::vector<uint32_t> ids(count);
  std::iota(ids.begin(), ids.end(), 0);
  return BenchText(ids);
}

RequestOutcome Quick(const std::vector<uint32_t>& prompt) {
  return {.tokens = {absl::Milliseconds(1), absl::Milliseconds(2)}, .ended = absl::Milliseconds(3)};
}

TEST(LoadTest, PromptsOfAPlanDifferFromTheirFirstToken) {
  const auto plan = PlanLoad({.requests = 50, .prompt_tokens = 20}, Counting(1000));
  std::set<uint32_t> begins;
  for (const PlannedRequest& request : plan) {
    EXPECT_EQ(request.prompt.size(), 20u);
    EXPECT_EQ(request.due, absl::ZeroDuration());
    begins.insert(request.prompt[0]);
  }
  EXPECT_EQ(begins.size(), 50u);
}

TEST(LoadTest, AShareOfThePromptsBeginsAlike) {
  const LoadOptions options{.requests = 40, .prompt_tokens = 20, .shared_part = 0.25, .shared_tokens = 12};
  const auto plan = PlanLoad(options, Counting(1000));
  // The shared beginning is what most prompts begin with.
  std::multiset<std::vector<uint32_t>> begins;
  std::set<std::vector<uint32_t>> whole;
  for (const PlannedRequest& request : plan) {
    EXPECT_EQ(request.prompt.size(), 20u);
    begins.insert({request.prompt.begin(), request.prompt.begin() + 12});
    whole.insert(request.prompt);
  }
  size_t most = 0;
  for (const auto& begin : begins) most = std::max(most, begins.count(begin));
  EXPECT_EQ(most, 10u);
  EXPECT_EQ(whole.size(), 40u);
}

TEST(LoadTest, APlanIsAFunctionOfItsOptions) {
  const BenchText text = Counting(1000);
  EXPECT_EQ(PlanLoad({.seed = 5}, text)[3].prompt, PlanLoad({.seed = 5}, text)[3].prompt);
  EXPECT_NE(PlanLoad({.seed = 5}, text)[3].prompt, PlanLoad({.seed = 6}, text)[3].prompt);
}

TEST(LoadTest, AnOpenLoopKeepsItsRate) {
  const auto plan = PlanLoad({.requests = 2000, .rate = 10, .prompt_tokens = 1}, Counting(5000));
  for (size_t i = 1; i < plan.size(); ++i) EXPECT_GE(plan[i].due, plan[i - 1].due);
  EXPECT_NEAR(absl::ToDoubleSeconds(plan.back().due), 200, 25);
}

TEST(LoadTest, AClosedLoopHasSoManyUnderWay) {
  std::atomic<int> running{0}, most{0}, count{0};
  const LoadOptions options{.requests = 20, .clients = 3, .prompt_tokens = 1};
  const auto outcomes = RunLoad(PlanLoad(options, Counting(100)), options, [&](const std::vector<uint32_t>& prompt) {
    const int now = ++running;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    --running;
    ++count;
    return Quick(prompt);
  });
  EXPECT_EQ(count, 20);
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
  ASSERT_EQ(outcomes.size(), 20u);
  for (const RequestOutcome& outcome : outcomes) {
    EXPECT_EQ(outcome.tokens[0], outcome.sent + absl::Milliseconds(1));
    EXPECT_EQ(outcome.ended, outcome.sent + absl::Milliseconds(3));
  }
  EXPECT_GT(outcomes.back().sent, absl::Milliseconds(5));  // it had to wait for its turn
}

TEST(LoadTest, AnOpenLoopDoesNotWaitForAnswers) {
  const LoadOptions options{.requests = 10, .rate = 1000, .prompt_tokens = 1};
  const auto outcomes = RunLoad(PlanLoad(options, Counting(100)), options, [&](const std::vector<uint32_t>& prompt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return Quick(prompt);
  });
  ASSERT_EQ(outcomes.size(), 10u);
  EXPECT_LT(outcomes.back().sent, absl::Milliseconds(200));
}

TEST(LoadTest, NothingIsSentAfterTheDuration) {
  const LoadOptions options{.requests = 1000, .clients = 2, .duration = absl::Milliseconds(30), .prompt_tokens = 1};
  const auto outcomes = RunLoad(PlanLoad(options, Counting(100)), options, [&](const std::vector<uint32_t>& prompt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Quick(prompt);
  });
  EXPECT_GE(outcomes.size(), 2u);
  EXPECT_LE(outcomes.size(), 14u);
}

}  // namespace
}  // namespace kedge
