#include "common/engine/step_costs.h"

#include <random>

#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr double kStep = 4e-3, kRow = 1e-3, kSeen = 2e-7;

absl::Duration True(const StepWork& work) {
  return absl::Seconds(work.steps * kStep + work.rows * kRow + work.seen * kSeen);
}

void ExpectClose(const StepCosts& costs, const StepWork& work, double most = 0.1) {
  EXPECT_NEAR(absl::FDivDuration(costs.Of(work), True(work)), 1, most) << work.steps << " " << work.rows << " " << work.seen;
}

// Prompts of many lengths in steps of 64 rows, and answers of 1 to 20 beside one another.
void Teach(StepCosts* costs, int steps, uint32_t seed = 1) {
  std::mt19937 random(seed);
  for (int i = 0; i < steps; ++i) {
    const uint32_t rows = random() % 2 ? 64 : 1 + random() % 20;
    const uint64_t seen = uint64_t{rows} * (random() % 4000);
    const double noise = 0.9 + 0.2 * static_cast<double>(random() % 1000) / 1000;
    costs->Record(rows, seen, noise * True({1, static_cast<double>(rows), static_cast<double>(seen)}));
  }
}

const StepWork kWork[] = {{1, 1, 100}, {1, 20, 20000}, {1, 64, 640}, {1, 64, 64 * 3500}, {100, 6400, 6400 * 2000.0}};

TEST(StepCostsTest, KnowsNothingAtFirst) {
  StepCosts costs;
  EXPECT_FALSE(costs.known());
  EXPECT_EQ(costs.Of({1, 1, 1}), absl::ZeroDuration());
  Teach(&costs, StepCosts::kLeastSteps);
  EXPECT_TRUE(costs.known());
}

TEST(StepCostsTest, FindsThePricesOfStepsRowsAndAttention) {
  StepCosts costs;
  Teach(&costs, 400);
  for (const StepWork& work : kWork) ExpectClose(costs, work);
}

TEST(StepCostsTest, ColdStepsAndOneSlowOneChangeLittle) {
  StepCosts costs;
  for (int i = 0; i < StepCosts::kFirstSteps; ++i) costs.Record(64, 640, absl::Seconds(9));
  Teach(&costs, 400);
  costs.Record(64, 64 * 2000, absl::Minutes(5));  // the machine slept
  costs.Record(5, 5 * 2000, absl::Seconds(2));
  Teach(&costs, 8, 2);
  for (const StepWork& work : kWork) ExpectClose(costs, work, 0.35);
  Teach(&costs, 100, 3);
  for (const StepWork& work : kWork) ExpectClose(costs, work);
}

TEST(StepCostsTest, AMachineThatBecomesSlowIsBelieved) {
  StepCosts costs;
  Teach(&costs, 200);
  for (int i = 0; i < 60; ++i) costs.Record(64, 640, 4 * True({1, 64, 640}));
  EXPECT_GT(costs.Of({1, 64, 640}), 2 * True({1, 64, 640}));
}

TEST(StepCostsTest, ManyStepsOfOneKindHideNothing) {
  StepCosts costs;
  Teach(&costs, 60);
  for (int i = 0; i < 1000; ++i) costs.Record(10, 10000, True({1, 10, 10000}));
  ExpectClose(costs, {1, 10, 10000});
  ExpectClose(costs, {10, 640, 640 * 1000.0}, 0.2);
}

TEST(StepCostsTest, OneKindAloneIsAStepAndPricesAreNeverNegative) {
  StepCosts costs;
  for (int i = 0; i < 50; ++i) costs.Record(10, 1000, absl::Milliseconds(20));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(costs.Of({1, 10, 1000})), 20, 0.2);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(costs.Of({3, 30, 3000})), 60, 0.6);
  for (int i = 0; i < 50; ++i) costs.Record(1000, 1000, absl::Milliseconds(5));  // more rows take less time
  for (const StepWork& work : {StepWork{1, 0, 0}, StepWork{0, 1, 0}, StepWork{0, 0, 1}}) {
    EXPECT_GE(costs.Of(work), absl::ZeroDuration());
  }
  costs.Record(0, 0, absl::Seconds(1));
  costs.Record(1, 0, absl::ZeroDuration());
  costs.Record(UINT32_MAX, UINT64_MAX, absl::Milliseconds(1));
}

TEST(StepCostsTest, RowsSeeWhatIsBeforeThem) {
  const StepWork all = RowsOf(0, 4, 100, 64);
  EXPECT_EQ(all.steps, 1);
  EXPECT_EQ(all.rows, 4);
  EXPECT_EQ(all.seen, 1 + 2 + 3 + 4);
  EXPECT_EQ(RowsOf(2, 4, 100, 64).seen, 3 + 4);
  EXPECT_EQ(RowsOf(0, 4, 2, 3).seen, 1 + 2 + 2 + 2);
  EXPECT_EQ(RowsOf(0, 4, 2, 3).steps, 2);
  EXPECT_EQ(RowsOf(9, 12, 2, 3).seen, 6);
  EXPECT_EQ(RowsOf(4, 4, 2, 3).rows, 0);
}

}  // namespace
}  // namespace kedge
