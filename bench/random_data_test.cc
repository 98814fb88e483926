#include "bench/random_data.h"

#include <cmath>

#include "common/kernels/dequantize.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RandomDataTest, WeightsOfEveryTypeAreOrdinaryNumbers) {
  for (TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ4_0,
                          TensorType::kQ4_1}) {
    constexpr size_t kCount = 64 * 32;
    const std::vector<uint8_t> data = RandomWeights(type, kCount);
    ASSERT_EQ(data.size(), TensorBytes(type, kCount));
    std::vector<float> values(kCount);
    DequantizeWeights(type, data, absl::MakeSpan(values));
    float least = values[0], most = values[0];
    for (float value : values) {
      ASSERT_TRUE(std::isfinite(value)) << TensorTypeName(type);
      ASSERT_LE(std::abs(value), 2) << TensorTypeName(type);
      ASSERT_TRUE(value == 0 || std::isnormal(value)) << TensorTypeName(type);
      least = std::min(least, value);
      most = std::max(most, value);
    }
    EXPECT_LT(least, most) << TensorTypeName(type);
  }
}

}  // namespace
}  // namespace kedge
