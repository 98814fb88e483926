#include "common/kernels/row_shape.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RowShapeTest, CountsBytesOfOneRow) {
  const RowShape shape{.layers = 30, .kv_heads = 3, .head_dim = 64, .type = KvType::kF16};
  EXPECT_EQ(shape.row_bytes(), 23040u);
}

// 64 numbers and 2 scales; 80 and 3; 10 and 1.
TEST(RowShapeTest, CountsScales) {
  EXPECT_EQ((RowShape{.layers = 30, .kv_heads = 3, .head_dim = 64, .type = KvType::kQ8}.row_bytes()), 180u * 68);
  EXPECT_EQ((RowShape{.layers = 1, .kv_heads = 1, .head_dim = 80, .type = KvType::kQ8}.pair_bytes()), 2 * 86u);
  EXPECT_EQ((RowShape{.layers = 1, .kv_heads = 1, .head_dim = 10, .type = KvType::kQ8}.pair_bytes()), 2 * 12u);
}

// 6 bits and 4, and the scales; in pages 8 and 8.
TEST(RowShapeTest, CountsBits) {
  const RowShape shape{.layers = 30, .kv_heads = 3, .head_dim = 64, .type = KvType::kK6V4};
  EXPECT_EQ(shape.part_bytes(KvPart::kKey), 52u);
  EXPECT_EQ(shape.part_bytes(KvPart::kValue), 36u);
  EXPECT_EQ(shape.row_bytes(), 90u * 88);
  EXPECT_EQ(shape.page_row_bytes(), 180u * 68);
  const RowShape odd{.layers = 1, .kv_heads = 1, .head_dim = 10, .type = KvType::kK6V4};
  EXPECT_EQ(odd.row_bytes(), 8u + 2 + 5 + 2);
}

TEST(KvTypeTest, NamesParseBack) {
  for (KvType type : kKvTypes) {
    EXPECT_EQ(ParseKvType(KvTypeName(type)).value(), type);
  }
}

TEST(KvTypeTest, UnknownNameListsTheKnownOnes) {
  const absl::Status status = ParseKvType("int8").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("f16, f32, bf16, q8, k6v4"), std::string::npos);
}

}  // namespace
}  // namespace kedge
