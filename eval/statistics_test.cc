// The expected values are those of scipy 1.x (binomtest, bootstrap) and statsmodels (multipletests).
#include "eval/statistics.h"

#include <cmath>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StatisticsTest, McNemarIsTheExactBinomialTest) {
  EXPECT_EQ(McNemarP(0, 0), 1);
  EXPECT_NEAR(McNemarP(3, 11), 0.057373046875, 1e-12);
  EXPECT_NEAR(McNemarP(11, 3), 0.057373046875, 1e-12);
  EXPECT_NEAR(McNemarP(0, 6), 0.03125, 1e-12);
  EXPECT_NEAR(McNemarP(20, 31), 0.16077960181198847, 1e-10);
  EXPECT_NEAR(McNemarP(90, 60), 0.017597691928785828, 1e-10);
  EXPECT_NEAR(McNemarP(500, 560), 0.06990955946026937, 1e-10);
  EXPECT_EQ(McNemarP(7, 7), 1);
}

TEST(StatisticsTest, HolmStepsDown) {
  const std::vector<double> adjusted = HolmAdjusted({0.01, 0.04, 0.03, 0.005, 0.5});
  const std::vector<double> expected = {0.04, 0.09, 0.09, 0.025, 0.5};
  ASSERT_EQ(adjusted.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-12);
  EXPECT_EQ(HolmAdjusted({0.9, 0.8}), (std::vector<double>{1, 1}));
  EXPECT_TRUE(HolmAdjusted({}).empty());
}

std::vector<Cluster> Example() {
  const double sums[] = {1, -1, 0, 2, 0, 1, 0, -1, 3, 0, 1, 1, 0, -2, 1, 0, 2, 0, 0, 1};
  const double weights[] = {5, 5, 4, 6, 5, 5, 3, 5, 8, 5, 5, 5, 2, 6, 5, 5, 5, 5, 4, 5};
  std::vector<Cluster> clusters;
  for (int i = 0; i < 20; ++i) clusters.push_back({sums[i], weights[i]});
  return clusters;
}

// scipy.stats.bootstrap of the ratio, paired, percentile, a million draws: [-0.0101, 0.1837].
TEST(StatisticsTest, TheIntervalIsThatOfTheRatioOfResampledSums) {
  const Estimate estimate = ClusterBootstrap(Example());
  EXPECT_NEAR(estimate.value, 0.09183673469387756, 1e-12);
  EXPECT_NEAR(estimate.low, -0.0101, 0.004);
  EXPECT_NEAR(estimate.high, 0.1837, 0.004);
  const Estimate again = ClusterBootstrap(Example());
  EXPECT_EQ(estimate.low, again.low);
  EXPECT_EQ(estimate.high, again.high);
}

TEST(StatisticsTest, CasesOfOneClusterCountOnce) {
  std::vector<Cluster> apart, together;
  for (int i = 0; i < 40; ++i) apart.push_back({i % 4 == 0 ? 1.0 : 0.0, 1});
  for (int i = 0; i < 8; ++i) together.push_back({i % 4 == 0 ? 5.0 : 0.0, 5});
  const Estimate narrow = ClusterBootstrap(apart), wide = ClusterBootstrap(together);
  EXPECT_EQ(narrow.value, wide.value);
  EXPECT_GT(wide.high - wide.low, 1.7 * (narrow.high - narrow.low));
}

TEST(StatisticsTest, WithoutClustersThereIsNoInterval) {
  EXPECT_TRUE(std::isnan(ClusterBootstrap({}).value));
  const Estimate one = ClusterBootstrap({{3, 4}});
  EXPECT_EQ(one.value, 0.75);
  EXPECT_TRUE(std::isnan(one.low) && std::isnan(one.high));
  EXPECT_TRUE(std::isnan(ClusterBootstrap({{0, 0}, {0, 0}}).low));
}

}  // namespace
}  // namespace kedge
