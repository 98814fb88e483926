#include "common/kernels/finite.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "common/kernels/number_format.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(FiniteTest, JudgesEveryNumberOf16Bits) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const uint16_t number = static_cast<uint16_t>(bits);
    ASSERT_EQ(AllFinite(KvType::kF16, &number, 1), std::isfinite(FromHalf(number))) << bits;
    ASSERT_EQ(AllFinite(KvType::kBF16, &number, 1), std::isfinite(FromBFloat16(number))) << bits;
    const float f32 = std::bit_cast<float>(bits << 16 | 0x1234);
    ASSERT_EQ(AllFinite(&f32, 1), std::isfinite(f32)) << bits;
  }
}

TEST(FiniteTest, FindsOneAmongMany) {
  for (size_t size = 1; size <= 70; ++size) {
    std::vector<float> floats(size, -std::numeric_limits<float>::max());
    std::vector<uint16_t> halves(size, 0xfbff);  // the least
    EXPECT_TRUE(AllFinite(floats.data(), size));
    EXPECT_TRUE(AllFinite(KvType::kF16, halves.data(), size));
    for (size_t at = 0; at < size; ++at) {
      for (const float bad : {INFINITY, -INFINITY, NAN}) {
        floats[at] = bad;
        halves[at] = ToHalf(bad);
        EXPECT_FALSE(AllFinite(floats.data(), size)) << size << " " << at;
        EXPECT_FALSE(AllFinite(KvType::kF16, halves.data(), size)) << size << " " << at;
        EXPECT_TRUE(AllFinite(floats.data(), at));
      }
      floats[at] = 0;
      halves[at] = 0;
    }
  }
}

// Of rows in 8 bits, whose numbers are always some.
TEST(FiniteTest, LooksAtAllScales) {
  for (uint32_t size : {1u, 32u, 33u, 128u}) {
    std::vector<uint8_t> part(PagePartBytes(KvType::kQ8, size), 0xff);
    std::fill(part.begin() + size, part.end(), 0x3c);
    EXPECT_TRUE(AllFinite(KvType::kQ8, part.data(), size));
    for (size_t scale = size; scale < part.size(); scale += 2) {
      part[scale + 1] = 0x7c;
      EXPECT_FALSE(AllFinite(KvType::kQ8, part.data(), size));
      part[scale + 1] = 0x3c;
    }
  }
}

}  // namespace
}  // namespace kedge
