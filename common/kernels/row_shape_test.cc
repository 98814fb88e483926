#include "common/kernels/row_shape.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RowShapeTest, CountsBytesOfOneRow) {
  const RowShape shape{.layers = 30, .kv_heads = 3, .head_dim = 64, .type = KvType::kF16};
  EXPECT_EQ(shape.row_bytes(), 23040u);
}

TEST(KvTypeTest, NamesParseBack) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16}) {
    EXPECT_EQ(ParseKvType(KvTypeName(type)).value(), type);
  }
}

TEST(KvTypeTest, UnknownNameListsTheKnownOnes) {
  const absl::Status status = ParseKvType("int8").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("f16, bf16 and f32"), std::string::npos);
}

}  // namespace
}  // namespace kedge
