#include "common/testing/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace kedge {
namespace {

std::vector<float> RandomValues(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random() >> 40) / float{1 << 22} - 2.0f;  // -2 to 2
  return values;
}

TEST(Half, EveryHalfSurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = HalfToFloat(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      ASSERT_EQ(FloatToHalf(value), bits) << value;
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {  // neighbours below infinity
    const float low = HalfToFloat(static_cast<uint16_t>(bits));
    const float high = HalfToFloat(static_cast<uint16_t>(bits + 1));
    const float middle = (low + high) / 2;  // exact: floats have 13 more bits
    ASSERT_EQ(FloatToHalf(middle), bits % 2 == 0 ? bits : bits + 1) << middle;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), bits) << middle;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, INFINITY)), bits + 1) << middle;
    ASSERT_EQ(FloatToHalf(-middle), FloatToHalf(middle) | 0x8000) << middle;
  }
  EXPECT_EQ(FloatToHalf(65519.0f), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);  // infinity
  EXPECT_EQ(FloatToHalf(1e30f), 0x7c00);
}

TEST(Bfloat16, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(FloatToBfloat16(1.0f), 0x3f80);
  EXPECT_EQ(FloatToBfloat16(-1.0f), 0xbf80);
  EXPECT_EQ(FloatToBfloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(FloatToBfloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(FloatToBfloat16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
}

TEST(Quantize, ErrorStaysWithinHalfAStep) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  const std::vector<float> values = RandomValues(32 * 64, seed);
  struct Case {
    TensorType type;
    // For values from -2 to 2, with room for the rounding of the scales to half precision. Q4_0 has -8 to 7 steps, so
    // the value opposite to the largest may be a whole step off. The scales and minima of the K-quants are rounded to 6
    // or 8 bits besides.
    float bound;
  };
  for (const Case& c :
       {Case{TensorType::kF32, 0.0f}, Case{TensorType::kF16, 0.0011f}, Case{TensorType::kBF16, 0.0041f},
        Case{TensorType::kQ8_0, 0.0091f}, Case{TensorType::kQ4_0, 0.26f}, Case{TensorType::kQ4_1, 0.138f},
        Case{TensorType::kQ5_0, 0.126f}, Case{TensorType::kQ5_1, 0.067f}, Case{TensorType::kQ4_K, 0.18f},
        Case{TensorType::kQ5_K, 0.11f}, Case{TensorType::kQ6_K, 0.036f}}) {
    const std::string bytes = Quantize(c.type, values);
    ASSERT_EQ(bytes.size(), values.size() / BlockSize(c.type) * BlockBytes(c.type)) << TensorTypeName(c.type);
    const std::vector<float> back = Dequantize(c.type, bytes, values.size());
    float largest = 0;
    for (size_t i = 0; i < values.size(); ++i) largest = std::max(largest, std::fabs(back[i] - values[i]));
    EXPECT_LE(largest, c.bound) << TensorTypeName(c.type);
  }
}

// The layouts, spelt out: bytes written by hand, not by Quantize.
TEST(Dequantize, ReadsTheStandardLayouts) {
  const std::string two = RawBytes<uint16_t>(0x4000);   // 2.0
  const std::string half = RawBytes<uint16_t>(0x3800);  // 0.5
  std::string nibbles;
  for (int i = 0; i < 16; ++i) nibbles += static_cast<char>(i | (15 - i) << 4);
  std::string quants;
  for (int i = 0; i < 32; ++i) quants += static_cast<char>(i - 20);

  const std::vector<float> q4_0 = Dequantize(TensorType::kQ4_0, two + nibbles, 32);
  const std::vector<float> q4_1 = Dequantize(TensorType::kQ4_1, two + half + nibbles, 32);
  const std::vector<float> q8_0 = Dequantize(TensorType::kQ8_0, half + quants, 32);
  for (int i = 0; i < 32; ++i) {
    const int nibble = i < 16 ? i : 31 - i;
    EXPECT_EQ(q4_0[i], 2.0f * (nibble - 8)) << i;
    EXPECT_EQ(q4_1[i], 2.0f * nibble + 0.5f) << i;
    EXPECT_EQ(q8_0[i], 0.5f * (i - 20)) << i;
  }
  EXPECT_EQ(Dequantize(TensorType::kF16, two + half, 2), (std::vector<float>{2.0f, 0.5f}));
  EXPECT_EQ(Dequantize(TensorType::kBF16, RawBytes<uint16_t>(0xc000), 1), (std::vector<float>{-2.0f}));
}

TEST(Quantize, ABlockOfEqualValuesHasNoScaleToDivideBy) {
  const std::vector<float> zeros(256, 0.0f);
  for (TensorType type : {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                          TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K}) {
    EXPECT_EQ(Dequantize(type, Quantize(type, zeros), 256), zeros) << TensorTypeName(type);
  }
  const std::vector<float> ones(32, 1.0f);
  EXPECT_EQ(Dequantize(TensorType::kQ4_1, Quantize(TensorType::kQ4_1, ones), 32), ones);
}

TEST(GgufWriter, WritesTheBytesOfTheFormat) {
  GgufWriter writer(2);
  writer.SetUint8("k", 7);
  writer.AddTensor("t", TensorType::kF32, {1}, RawBytes(1.5f));
  const std::string header = "GGUF" + RawBytes<uint32_t>(2) + RawBytes<uint64_t>(1) + RawBytes<uint64_t>(1);
  const std::string metadata = RawBytes<uint64_t>(1) + "k" + RawBytes<uint32_t>(0) + "\x07";
  const std::string table = RawBytes<uint64_t>(1) + "t" + RawBytes<uint32_t>(1) + RawBytes<uint64_t>(1) +
                            RawBytes<uint32_t>(0) + RawBytes<uint64_t>(0);
  std::string expected = header + metadata + table;
  expected.resize((expected.size() + 31) / 32 * 32);
  std::string data = RawBytes(1.5f);
  data.resize(32);
  EXPECT_EQ(writer.Finish(), expected + data);
}

}  // namespace
}  // namespace kedge
