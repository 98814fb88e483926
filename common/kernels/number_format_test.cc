#include "common/kernels/number_format.h"

#include <bit>
#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace kedge {
namespace {

// The definition: sign, 5 bits of exponent, 10 of fraction.
double HalfByDefinition(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

TEST(NumberFormatTest, EveryHalfGoesToItsValueAndBack) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = FromHalf(static_cast<uint16_t>(half));
    if ((half & 0x7fff) > 0x7c00) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_EQ(ToHalf(value), half | 0x0200);
    } else {
      if ((half & 0x7fff) < 0x7c00) {
        EXPECT_EQ(value, HalfByDefinition(static_cast<uint16_t>(half)));
      }
      ASSERT_EQ(ToHalf(value), half);
    }
  }
  EXPECT_EQ(FromHalf(0x7c00), std::numeric_limits<float>::infinity());
}

TEST(NumberFormatTest, HalvesRoundToNearestEven) {
  for (uint32_t half = 0; half < 0x7bff; ++half) {
    const double low = HalfByDefinition(static_cast<uint16_t>(half));
    const double high = HalfByDefinition(static_cast<uint16_t>(half + 1));
    const float middle = static_cast<float>((low + high) / 2);  // exact
    ASSERT_EQ(ToHalf(middle), half + (half & 1));
    ASSERT_EQ(ToHalf(std::nextafter(middle, 1e9f)), half + 1);
    ASSERT_EQ(ToHalf(-std::nextafter(middle, -1e9f)), half | 0x8000);
  }
  EXPECT_EQ(ToHalf(65519.99f), 0x7bff);
  EXPECT_EQ(ToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(ToHalf(1e30f), 0x7c00);
}

TEST(NumberFormatTest, BFloat16RoundsToNearestEven) {
  for (uint32_t value = 0; value < 0x10000; ++value) {
    const float exact = FromBFloat16(static_cast<uint16_t>(value));
    if (std::isnan(exact)) {
      EXPECT_EQ(ToBFloat16(exact), value | 0x40);
      continue;
    }
    ASSERT_EQ(ToBFloat16(exact), value);
    if ((value & 0x7fff) >= 0x7f80) continue;
    const uint32_t middle = value << 16 | 0x8000;
    ASSERT_EQ(ToBFloat16(std::bit_cast<float>(middle)), value + (value & 1));
    ASSERT_EQ(ToBFloat16(std::bit_cast<float>(middle - 1)), value);
    ASSERT_EQ(ToBFloat16(std::bit_cast<float>(middle + 1)), value + 1);
  }
}

}  // namespace
}  // namespace kedge
