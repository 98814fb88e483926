#include "common/kernels/cpu/fastest_set.h"

#include "absl/time/time.h"
#include "common/base/thread_pool.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr InstructionSet kSets[] = {InstructionSet::kAvx512Vnni, InstructionSet::kAmxInt8};

TEST(FastestOfTest, TakesTheLeastTimeWhateverElseTheMachineDoes) {
  for (const InstructionSet fast : kSets) {
    int calls = 0;
    const auto time = [&](InstructionSet set) {
      const bool is_held_up = ++calls % 7 != 3;  // most of the time, and either of them
      return absl::Microseconds((set == fast ? 40 : 60) + (is_held_up ? 1000 * (1 + calls % 5) : 0));
    };
    EXPECT_EQ(FastestOf(kSets, time), fast);
    EXPECT_GE(calls, 10);
  }
}

TEST(FastestOfTest, OfEqualsTheLast) {
  EXPECT_EQ(FastestOf(kSets, [](InstructionSet) { return absl::Microseconds(1); }), InstructionSet::kAmxInt8);
}

TEST(FastestInstructionSetTest, IsOneThatTheMachineHasAndStays) {
  ThreadPool first_pool(3);
  const InstructionSet first = FastestInstructionSet(first_pool);
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(1 + i % 3);
    const InstructionSet set = FastestInstructionSet(pool);
    EXPECT_EQ(set, first);
    EXPECT_TRUE(IsAvailable(set));
    if (!IsAvailable(InstructionSet::kAmxInt8)) EXPECT_EQ(set, BestInstructionSet());
    if (IsAvailable(InstructionSet::kAvx512Vnni)) EXPECT_GE(set, InstructionSet::kAvx512Vnni);
  }
}

}  // namespace
}  // namespace kedge
