#include "common/kernels/q8.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A part, and what it reads as.
struct Part {
  explicit Part(const std::vector<float>& x) : size(x.size()), bytes(KvPartBytes(KvType::kQ8, x.size())) {
    RoundQ8(x.data(), static_cast<int>(size), bytes.data());
    for (size_t i = 0; i < size; ++i) {
      quants.push_back(static_cast<int8_t>(bytes[i]));
      values.push_back(FromHalf(scale(i / kScaleBlock)) * static_cast<float>(quants.back()));
    }
  }
  uint16_t scale(size_t block) const { return Q8ScaleAt(bytes.data(), size, block); }
  size_t size;
  std::vector<uint8_t> bytes;
  std::vector<int> quants;
  std::vector<float> values;
};

TEST(Q8Test, NothingIsFartherThanHalfAStep) {
  std::mt19937 random(1);
  for (int exponent = -40; exponent <= 20; ++exponent) {
    std::normal_distribution<float> normal(0, std::exp2(static_cast<float>(exponent)));
    for (const size_t size : {8, 10, 32, 64, 80, 128}) {
      std::vector<float> x(size);
      for (float& value : x) value = normal(random);
      const Part part(x);
      for (size_t i = 0; i < size; ++i) {
        const float step = FromHalf(part.scale(i / kScaleBlock));
        ASSERT_LE(std::abs(part.quants[i]), 127);
        ASSERT_NEAR(part.values[i], x[i], 0.50001f * step) << exponent << " " << i;
      }
    }
  }
}

TEST(Q8Test, BlocksHaveTheirOwnScales) {
  std::vector<float> x(70, 1.0f);
  x[5] = -127;
  x[40] = 1270;
  const Part part(x);
  EXPECT_EQ(part.scale(0), 0x3c00);            // 1
  EXPECT_EQ(FromHalf(part.scale(1)), 10.0f);
  EXPECT_GE(FromHalf(part.scale(2)) * 127, 1.0f);
  EXPECT_EQ(part.quants[5], -127);
  EXPECT_EQ(part.quants[0], 1);
  EXPECT_EQ(part.quants[40], 127);
  EXPECT_EQ(part.quants[41], 0);
  EXPECT_EQ(part.quants[64], 127);
}

TEST(Q8Test, TiesGoToTheEvenOne) {
  EXPECT_EQ(Part({127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f}).quants, std::vector<int>({127, 0, 2, 2, 0, -2}));
}

// 1 / 127 is no half: the next one above it.
TEST(Q8Test, TheScaleIsRoundedUp) {
  const uint16_t scale = Part({1.0f}).scale(0);
  EXPECT_GE(FromHalf(scale), 1.0f / 127);
  EXPECT_LT(FromHalf(scale - 1), 1.0f / 127);
  EXPECT_EQ(Part({1e-30f}).scale(0), 1);  // the smallest half there is
}

TEST(Q8Test, ZerosAreZero) {
  const Part part({0.0f, -0.0f});
  EXPECT_EQ(part.bytes, std::vector<uint8_t>(4, 0));
}

TEST(Q8Test, WhatIsNoNumberOrTooLargeIsSeenInTheScale) {
  EXPECT_TRUE(std::isfinite(FromHalf(Part({127 * 65504.0f}).scale(0))));
  EXPECT_EQ(Part({1.0f, -kInfinity}).bytes, std::vector<uint8_t>({0, 0, 0x00, 0x7c}));
  EXPECT_EQ(Part({127 * 65505.0f, 1.0f}).bytes, std::vector<uint8_t>({0, 0, 0x00, 0x7c}));
  EXPECT_EQ(Part({kInfinity, -std::nanf("7"), 1.0f}).bytes, std::vector<uint8_t>({0, 0, 0, 0x00, 0x7e}));
}

}  // namespace
}  // namespace kedge
