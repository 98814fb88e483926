#include "common/kernels/rounded_blocks.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A part as pages have it, and what it reads as.
struct Part {
  explicit Part(const std::vector<float>& x, float steps = 127)
      : size(x.size()), bytes(PagePartBytes(KvType::kQ8, x.size())) {
    RoundBlocks(x.data(), static_cast<int>(size), steps, bytes.data());
    for (size_t i = 0; i < size; ++i) {
      quants.push_back(static_cast<int8_t>(bytes[i]));
      values.push_back(FromHalf(scale(i / kScaleBlock)) * static_cast<float>(quants.back()));
    }
  }
  uint16_t scale(size_t block) const { return BlockScaleAt(bytes.data(), size, block); }
  size_t size;
  std::vector<uint8_t> bytes;
  std::vector<int> quants;
  std::vector<float> values;
};

TEST(RoundedBlocksTest, NothingIsFartherThanHalfAStep) {
  std::mt19937 random(1);
  for (const float steps : {127.0f, 31.0f, 7.0f}) {
    for (int exponent = -40; exponent <= 15; ++exponent) {
      std::normal_distribution<float> normal(0, std::exp2(static_cast<float>(exponent)));
      for (const size_t size : {8, 10, 32, 64, 80, 128}) {
        std::vector<float> x(size);
        for (float& value : x) value = normal(random);
        const Part part(x, steps);
        for (size_t i = 0; i < size; ++i) {
          const float step = FromHalf(part.scale(i / kScaleBlock));
          ASSERT_LE(std::abs(part.quants[i]), steps);
          ASSERT_NEAR(part.values[i], x[i], 0.50001f * step) << exponent << " " << i;
        }
      }
    }
  }
}

TEST(RoundedBlocksTest, BlocksHaveTheirOwnScales) {
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

TEST(RoundedBlocksTest, TiesGoToTheEvenOne) {
  EXPECT_EQ(Part({127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f}).quants, std::vector<int>({127, 0, 2, 2, 0, -2}));
  EXPECT_EQ(Part({-7, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f}, 7).quants, std::vector<int>({-7, 0, 2, 2, 0, -2}));
}

// 1 / 127 is no half: the next one above it.
TEST(RoundedBlocksTest, TheScaleIsRoundedUp) {
  const uint16_t scale = Part({1.0f}).scale(0);
  EXPECT_GE(FromHalf(scale), 1.0f / 127);
  EXPECT_LT(FromHalf(scale - 1), 1.0f / 127);
  EXPECT_EQ(Part({1e-30f}).scale(0), 1);  // the smallest half there is
}

TEST(RoundedBlocksTest, ZerosAreZero) {
  const Part part({0.0f, -0.0f});
  EXPECT_EQ(part.bytes, std::vector<uint8_t>(4, 0));
}

TEST(RoundedBlocksTest, WhatIsNoNumberOrTooLargeIsSeenInTheScale) {
  EXPECT_TRUE(std::isfinite(FromHalf(Part({127 * 65504.0f}).scale(0))));
  EXPECT_EQ(Part({1.0f, -kInfinity}).bytes, std::vector<uint8_t>({0, 0, 0x00, 0x7c}));
  EXPECT_EQ(Part({127 * 65505.0f, 1.0f}).bytes, std::vector<uint8_t>({0, 0, 0x00, 0x7c}));
  EXPECT_EQ(Part({7 * 65536.0f, 1.0f}, 7).bytes, std::vector<uint8_t>({0, 0, 0x00, 0x7c}));
  EXPECT_EQ(Part({kInfinity, -std::nanf("7"), 1.0f}).bytes, std::vector<uint8_t>({0, 0, 0, 0x00, 0x7e}));
}

TEST(RoundedBlocksTest, StepsFollowFromBits) {
  EXPECT_EQ(RoundingSteps(KvType::kQ8, KvPart::kKey), 127);
  EXPECT_EQ(RoundingSteps(KvType::kK6V4, KvPart::kKey), 31);
  EXPECT_EQ(RoundingSteps(KvType::kK6V4, KvPart::kValue), 7);
}

// As FORMAT.md has it.
TEST(RoundedBlocksTest, NumbersLieBitBehindBit) {
  std::vector<uint8_t> row(KvPartBytes(KvType::kK6V4, KvPart::kValue, 5));
  PackPart(KvType::kK6V4, KvPart::kValue, 5, Part({7, -7, 1, 0, -1}, 7).bytes.data(), row.data());
  EXPECT_EQ(row, std::vector<uint8_t>({0x97, 0x01, 0x0f, 0x00, 0x3c}));
  row.resize(KvPartBytes(KvType::kK6V4, KvPart::kKey, 5));
  PackPart(KvType::kK6V4, KvPart::kKey, 5, Part({31, -31, 1, 0, -1}, 31).bytes.data(), row.data());
  // 011111, 100001, 000001, 000000, 111111, from the lowest bit on.
  EXPECT_EQ(row, std::vector<uint8_t>({0x5f, 0x18, 0x00, 0x3f, 0x00, 0x3c}));
}

TEST(RoundedBlocksTest, WhatIsPackedComesBack) {
  std::mt19937 random(2);
  for (const KvType type : {KvType::kQ8, KvType::kK6V4}) {
    for (const KvPart which : {KvPart::kKey, KvPart::kValue}) {
      for (uint32_t size = 1; size <= 130; ++size) {
        std::vector<float> x(size);
        for (float& value : x) value = static_cast<float>(random() % 1000) - 500;
        const Part part(x, RoundingSteps(type, which));
        std::vector<uint8_t> row(KvPartBytes(type, which, size)), page(part.bytes.size());
        PackPart(type, which, size, part.bytes.data(), row.data());
        UnpackPart(type, which, size, row.data(), page.data());
        ASSERT_EQ(page, part.bytes) << size;
      }
    }
  }
}

}  // namespace
}  // namespace kedge
