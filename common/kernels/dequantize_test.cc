#include "common/kernels/dequantize.h"

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

std::vector<float> Values(TensorType type, const std::vector<uint8_t>& data, size_t count) {
  std::vector<float> values(count);
  DequantizeWeights(type, data, absl::MakeSpan(values));
  return values;
}

// 0x3800 is 0.5, 0xc000 is -2.
TEST(DequantizeTest, Floats) {
  EXPECT_EQ(Values(TensorType::kF32, {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}, 2), (std::vector<float>{1, -2}));
  EXPECT_EQ(Values(TensorType::kF16, {0x00, 0x38, 0x00, 0xc0}, 2), (std::vector<float>{0.5f, -2}));
  EXPECT_EQ(Values(TensorType::kBF16, {0x80, 0x3f, 0x00, 0xc0}, 2), (std::vector<float>{1, -2}));
}

TEST(DequantizeTest, FourBits) {
  std::vector<uint8_t> block = {0x00, 0x38};
  for (int i = 0; i < 16; ++i) block.push_back(static_cast<uint8_t>(i | (15 - i) << 4));
  std::vector<float> values = Values(TensorType::kQ4_0, block, 32);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], 0.5f * (i - 8));
    EXPECT_EQ(values[i + 16], 0.5f * (7 - i));
  }
  block.insert(block.begin() + 2, {0x00, 0xc0});
  values = Values(TensorType::kQ4_1, block, 32);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], 0.5f * i - 2);
    EXPECT_EQ(values[i + 16], 0.5f * (15 - i) - 2);
  }
}

TEST(DequantizeTest, EightBitsInSeveralBlocks) {
  std::vector<uint8_t> data;
  for (int block = 0; block < 2; ++block) {
    data.insert(data.end(), {0x00, static_cast<uint8_t>(block == 0 ? 0x38 : 0xc0)});
    for (int i = 0; i < 32; ++i) data.push_back(static_cast<uint8_t>(i * 8 - 128));
  }
  const std::vector<float> values = Values(TensorType::kQ8_0, data, 64);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(values[i], 0.5f * (i * 8 - 128));
    EXPECT_EQ(values[32 + i], -2.0f * (i * 8 - 128));
  }
  EXPECT_EQ(data.size(), TensorBytes(TensorType::kQ8_0, 64));
}

// Against another reader (tools/make_quant_vectors.py), which rounds products and sums separately.
TEST(DequantizeTest, BlocksOf32AgreeWithAnotherReader) {
  std::ifstream stream("common/kernels/testdata/quant_vectors.json");
  const nlohmann::json vectors = nlohmann::json::parse(stream);
  for (TensorType type :
       {TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K}) {
    SCOPED_TRACE(TensorTypeName(type));
    const std::string bytes = absl::HexStringToBytes(vectors[TensorTypeName(type)]["bytes"].get<std::string>());
    const std::vector<float> expected = vectors[TensorTypeName(type)]["weights"];
    ASSERT_EQ(expected.size(), 2u * BlockSize(type));
    const std::vector<float> actual = Values(type, {bytes.begin(), bytes.end()}, expected.size());
    // The terms are below 2 * 63 * 31 (scale, quant) and 2 * 63 (minimum).
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 4000 * 6e-8) << i;
  }
}

}  // namespace
}  // namespace kedge
