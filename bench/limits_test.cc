#include "bench/limits.h"

#include <set>
#include <string>

#include "bench/plain_loops.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(LimitsTest, RatesAreOfTheRightOrder) {
  const Limits limits = MeasureLimits(/*threads=*/1, /*read_buffer=*/1 << 20);
  // From a slow machine under a sanitizer to a fast one: a loop that the compiler took away would be beyond.
  EXPECT_GT(limits.read_bytes, 1e7);
  EXPECT_LT(limits.read_bytes, 1e12);
  EXPECT_GT(limits.int8_products, 1e7);
  EXPECT_LT(limits.int8_products, 2e13);
  EXPECT_GT(limits.float_products, 1e7);
  EXPECT_LT(limits.float_products, 1e12);
  EXPECT_FALSE(limits.int8_instruction.empty());
}

TEST(LimitsTest, EveryLoopOfThisProcessorRuns) {
  for (const auto* loops : {&Int8Loops(), &FloatLoops()}) {
    std::set<std::string> names;
    for (const MultiplyLoop& loop : *loops) {
      EXPECT_TRUE(names.insert(loop.instruction).second);
      EXPECT_GT(loop.products, 0u);
      if (loop.is_available()) loop.run(1000);
    }
    EXPECT_TRUE(loops->back().is_available());
  }
}

TEST(LimitsTest, AllBytesAreRead) {
  alignas(256) static uint8_t data[4096] = {};
  EXPECT_EQ(ReadOnce(data, sizeof(data)), 0u);
  for (size_t place : {0, 63, 64, 255, 256, 4095}) {
    data[place] = 1;
    EXPECT_NE(ReadOnce(data, sizeof(data)), 0u) << place;
    data[place] = 0;
  }
}

}  // namespace
}  // namespace kedge
