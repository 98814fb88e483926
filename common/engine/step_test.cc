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

TEST(StepPacerTest, FindsTheStepThatTakesTheTarget) {
  StepPacer pacer(absl::Milliseconds(100), 256);
  for (int i = 0; i < 50; ++i) pacer.Record(pacer.budget(), pacer.budget() * absl::Milliseconds(2));
  EXPECT_NEAR(pacer.budget(), 50, 1);
  for (int i = 0; i < 50; ++i) pacer.Record(pacer.budget(), pacer.budget() * absl::Microseconds(1));
  EXPECT_EQ(pacer.budget(), 256u);
  for (int i = 0; i < 50; ++i) pacer.Record(pacer.budget(), pacer.budget() * absl::Seconds(1));
  EXPECT_EQ(pacer.budget(), 16u);
}

// A machine on which a step takes a base and so much for each row, give or take a tenth.
struct Machine {
  absl::Duration base, row;
  std::mt19937 random{3};
  absl::Duration Step(uint32_t rows) {
    return (base + row * rows) * std::uniform_real_distribution<double>(0.9, 1.1)(random);
  }
};

TEST(StepPacerTest, PromptsAreFilledRightAfterManySmallSteps) {
  // A core or two; a GPU with few answers, and with many; a GPU that reads large weights for most of the target.
  struct Case {
    absl::Duration target;
    Machine machine;
    uint32_t answers, max_rows, right;
  };
  for (Case c : {Case{absl::Milliseconds(150), {absl::Milliseconds(40), absl::Milliseconds(1)}, 32, 256, 110},
                 Case{absl::Milliseconds(25), {absl::Microseconds(3500), absl::Microseconds(20)}, 8, 4096, 1075},
                 Case{absl::Milliseconds(25), {absl::Microseconds(3500), absl::Microseconds(20)}, 256, 4096, 1075},
                 Case{absl::Milliseconds(25), {absl::Milliseconds(15), absl::Microseconds(100)}, 4, 4096, 100}}) {
    SCOPED_TRACE(c.answers);
    StepPacer pacer(c.target, c.max_rows);
    const auto step = [&](uint32_t rows) { pacer.Record(rows, c.machine.Step(rows)); };
    for (int i = 0; i < 500; ++i) step(c.answers - i % 3);
    for (int i = 0; i < 4; ++i) step(pacer.budget());  // the first prompt finds the size
    EXPECT_NEAR(pacer.budget(), c.right, c.right / 4);
    for (int i = 0; i < 500; ++i) step(c.answers - i % 3);
    EXPECT_NEAR(pacer.budget(), c.right, c.right / 4);  // and the next one has it at once
  }
}

TEST(StepPacerTest, AMachineThatBecomesSlowerOrFasterIsFollowed) {
  StepPacer pacer(absl::Milliseconds(150), 256);
  for (const auto& [row, right] : {std::pair{1, 110}, std::pair{5, 22}, std::pair{1, 110}}) {
    Machine machine{absl::Milliseconds(40), absl::Milliseconds(row)};
    for (int i = 0; i < 30; ++i) {
      pacer.Record(6, machine.Step(6));
      pacer.Record(pacer.budget(), machine.Step(pacer.budget()));
    }
    EXPECT_NEAR(pacer.budget(), right, right / 4) << row;
  }
}

TEST(StepPacerTest, NoStepGoesFarBeyondWhatWasSeen) {
  StepPacer pacer(absl::Seconds(1), 4096);
  pacer.Record(pacer.budget(), absl::ZeroDuration());
  EXPECT_EQ(pacer.budget(), 256u);
}

TEST(StepPacerTest, WhereReadingTheWeightsTakesLongerThanTheTargetSomeRowsAreComputed) {
  StepPacer pacer(absl::Milliseconds(150), 256);
  for (int i = 0; i < 50; ++i) {
    pacer.Record(2, absl::Milliseconds(200));
    pacer.Record(pacer.budget(), absl::Milliseconds(200) + pacer.budget() * absl::Milliseconds(5));
  }
  EXPECT_EQ(pacer.budget(), 16u);
}

}  // namespace
}  // namespace kedge
