#include "common/engine/step_pacer.h"

#include <random>
#include <utility>

#include "gtest/gtest.h"

namespace kedge {
namespace {

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
