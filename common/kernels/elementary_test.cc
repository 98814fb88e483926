#include "common/kernels/elementary.h"

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ElementaryTest, ExpAgreesWithTheLibrary) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> x(-50, 50);
  EXPECT_EQ(ExpDouble(0), 1);
  for (int i = 0; i < 20000; ++i) {
    const double value = x(random);
    ASSERT_NEAR(ExpDouble(value) / std::exp(value), 1, 5e-16) << value;
  }
  EXPECT_EQ(ExpDouble(-1e4), 0);
  EXPECT_TRUE(std::isinf(ExpDouble(1e4)));
}

TEST(ElementaryTest, ExpOfManyAgreesWithTheLibrary) {
  std::mt19937_64 random(4);
  for (double least : {-0.5, -50.0, -700.0}) {
    std::vector<double> x(1003);
    for (double& value : x) value = std::uniform_real_distribution<double>(least, 0)(random);
    x[0] = 0;
    std::vector<double> y = x;
    ExpEach(absl::MakeSpan(y));
    EXPECT_EQ(y[0], 1);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(y[i] / std::exp(x[i]), 1, 2e-15) << x[i];
      double alone = x[i];
      ExpEach(absl::MakeSpan(&alone, 1));
      ASSERT_EQ(alone, y[i]);  // whatever it stands beside
    }
  }
  double far[] = {-1e300, -701};
  ExpEach(absl::MakeSpan(far));
  EXPECT_GE(far[0], 0);
  EXPECT_LT(far[0], 1e-300);
  EXPECT_EQ(far[0], far[1]);
}

// Draws stand on these bits (choose_token.h), so they are the same on every machine.
TEST(ElementaryTest, ExpHasTheSameBitsWithWhateverInstructions) {
  std::vector<double> x;
  uint64_t state = 1;
  for (int i = 0; i < 4099; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x.push_back(-static_cast<double>(state >> 11) * 0x1p-53 * (i % 2 ? 30 : 710));
  }
  ExpEach(absl::MakeSpan(x));
  uint64_t hash = 0xcbf29ce484222325u;
  for (double value : x) hash = (hash ^ std::bit_cast<uint64_t>(value)) * 0x100000001b3u;
  EXPECT_EQ(hash, 0x6544062f121163f4u);
}

TEST(ElementaryTest, LogAgreesWithTheLibrary) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> x(-30, 30);
  EXPECT_EQ(LogDouble(1), 0);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::exp(x(random));
    ASSERT_NEAR(LogDouble(value), std::log(value), 5e-16 * std::max(1.0, std::abs(std::log(value)))) << value;
  }
  EXPECT_NEAR(LogDouble(10000), 9.210340371976184, 2e-15);
}

TEST(ElementaryTest, SinAndCosAgreeWithTheLibrary) {
  std::mt19937_64 random(3);
  for (double range : {1.0, 10.0, 1e4, 1e6}) {
    std::uniform_real_distribution<double> x(-range, range);
    for (int i = 0; i < 10000; ++i) {
      const double angle = x(random);
      const SinCos result = SinCosDouble(angle);
      ASSERT_NEAR(result.sin, std::sin(angle), 1e-15) << angle;
      ASSERT_NEAR(result.cos, std::cos(angle), 1e-15) << angle;
    }
  }
  EXPECT_EQ(SinCosDouble(0).sin, 0);
  EXPECT_EQ(SinCosDouble(0).cos, 1);
}

}  // namespace
}  // namespace kedge
