#include "common/kernels/tensor_type.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(TensorTypeTest, KnowsTheBlocksOfSupportedTypes) {
  EXPECT_EQ(BlockBytes(TensorType::kQ4_1), 20);
  EXPECT_EQ(BlockSize(TensorType::kQ8_0), 32);
  EXPECT_EQ(BlockSize(TensorType::kBF16), 1);
}

TEST(TensorTypeTest, NamesTypesItDoesNotRead) {
  const auto q6_k = static_cast<TensorType>(14);
  EXPECT_FALSE(IsSupported(q6_k));
  EXPECT_EQ(TensorTypeName(q6_k), "type 14");
}

}  // namespace
}  // namespace kedge
