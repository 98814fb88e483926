#include "bench/quantile.h"

#include <cmath>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(QuantileTest, LiesBetweenNeighbours) {
  EXPECT_EQ(Quantile({3, 1, 2}, 0), 1);
  EXPECT_EQ(Quantile({3, 1, 2}, 1), 3);
  EXPECT_EQ(Quantile({3, 1, 2}, 0.75), 2.5);
  EXPECT_EQ(Median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(Median({7}), 7);
}

TEST(QuantileTest, OfNothingIsNoNumber) { EXPECT_TRUE(std::isnan(Median({}))); }

}  // namespace
}  // namespace kedge
