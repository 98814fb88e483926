#include "common/kernels/tensor_type.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(TensorTypeTest, KnowsTheBlocksOfSupportedTypes) {
  EXPECT_EQ(BlockBytes(TensorType::kQ4_1), 20);
  EXPECT_EQ(BlockSize(TensorType::kQ8_0), 32);
  EXPECT_EQ(BlockSize(TensorType::kBF16), 1);
  EXPECT_EQ(BlockSize(TensorType::kQ6_K), 256);
  EXPECT_EQ(BlockBytes(TensorType::kQ6_K), 210);
}

TEST(TensorTypeTest, NamesTypesItDoesNotRead) {
  const auto q2_k = static_cast<TensorType>(10);
  EXPECT_FALSE(IsSupported(q2_k));
  EXPECT_EQ(TensorTypeName(q2_k), "type 10");
}

}  // namespace
}  // namespace kedge
