#include "bench/bench_text.h"

#include <numeric>
#include <set>

#include "gtest/gtest.h"

namespace kedge {
namespace {

BenchText Counting(uint32_t count) {
  std::vector<uint32_t> ids(count);
  std::iota(ids.begin(), ids.end(), 0);
  return BenchText(ids);
}

TEST(BenchTextTest, EachNumberBeginsElsewhere) {
  for (uint32_t size : {1u, 10u, 7919u, 15838u}) {
    const BenchText text = Counting(size);
    std::set<uint32_t> begins;
    for (uint32_t number = 0; number < size; ++number) begins.insert(text.Take(number, 1)[0]);
    EXPECT_EQ(begins.size(), size);
  }
}

TEST(BenchTextTest, GoesOnAtItsBegin) {
  const BenchText text = Counting(3);
  EXPECT_EQ(text.Take(0, 7), (std::vector<uint32_t>{0, 1, 2, 0, 1, 2, 0}));
  EXPECT_EQ(text.Take(3, 2), text.Take(0, 2));
}

}  // namespace
}  // namespace kedge
