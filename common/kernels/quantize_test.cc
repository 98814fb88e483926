#include "common/kernels/quantize.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// The bytes, or "refused".
std::string Quantized(const std::vector<float>& values) {
  std::string bytes(values.size() / 32 * 34, '\xff');
  if (!QuantizeQ8(values, absl::MakeSpan(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()))) return "refused";
  return bytes;
}

TEST(QuantizeQ8Test, AgreesWithTheTestLibrarysEncoder) {
  std::mt19937 random(1);
  for (int exponent = -14; exponent <= 20; ++exponent) {  // smaller scales are zero as halves
    std::vector<float> values(32 * 50);
    for (float& value : values) {
      value = std::ldexp(static_cast<float>(random()) * 0x1p-31f - 1, exponent - static_cast<int>(random() % 4));
    }
    EXPECT_EQ(Quantized(values), Quantize(TensorType::kQ8_0, values)) << exponent;
  }
}

TEST(QuantizeQ8Test, HalvesRoundAwayFromZero) {
  std::vector<float> values(32);
  values[0] = 127;  // d is 1
  for (int i = 1; i < 32; ++i) values[i] = static_cast<float>(i - 16) + 0.5f;
  const std::string bytes = Quantized(values);
  for (int i = 1; i < 32; ++i) {
    EXPECT_EQ(static_cast<int8_t>(bytes[2 + i]), static_cast<int>(std::round(values[i]))) << values[i];
  }
  values.assign(32, std::nextafter(0.5f, 0.0f));
  values[0] = -127;
  EXPECT_EQ(Quantized(values)[3], 0);
  EXPECT_EQ(static_cast<int8_t>(Quantized(values)[2]), -127);
}

TEST(QuantizeQ8Test, WhatIsTooSmallForAScaleBecomesZero) {
  for (float value : {0.0f, -0.0f, 1e-40f, -1e-7f}) {
    EXPECT_EQ(Quantized(std::vector<float>(32, value)), std::string(34, '\0')) << value;
  }
}

TEST(QuantizeQ8Test, RefusesWhatHasNoScale) {
  for (float value : {NAN, -NAN, INFINITY, -INFINITY, 1e7f, -3e38f}) {
    for (size_t at : {0, 31, 40, 63}) {
      std::vector<float> values(64, 1.0f);
      values[at] = value;
      EXPECT_EQ(Quantized(values), "refused") << value << " at " << at;
    }
  }
  EXPECT_NE(Quantized(std::vector<float>(32, 65504.0f * 127)), "refused");
}

}  // namespace
}  // namespace kedge
