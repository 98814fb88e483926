#include "eval/rounding.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "common/kernels/number_format.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr RowShape kShape = {.layers = 2, .kv_heads = 1, .head_dim = 40, .type = KvType::kF16};
constexpr uint32_t kRows = 50;  // a whole group and a part of one

std::vector<uint8_t> Bytes(const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() * 2);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = ToHalf(values[i]);
    std::memcpy(&bytes[2 * i], &half, 2);
  }
  return bytes;
}

float ValueAt(const std::vector<uint8_t>& bytes, size_t i) {
  uint16_t half;
  std::memcpy(&half, &bytes[2 * i], 2);
  return FromHalf(half);
}

// [layer][key, value][row][dim]
size_t Index(uint32_t layer, bool is_value, uint32_t row, uint32_t dim) {
  return ((layer * 2 + is_value) * kRows + row) * kShape.head_dim + dim;
}

std::vector<float> Waves() {
  std::vector<float> values(size_t{4} * kRows * kShape.head_dim);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 3 * std::sin(static_cast<float>(i) * 0.7f);
  return values;
}

TEST(RoundingTest, NoValueMovesByMoreThanHalfAStep) {
  const std::vector<float> values = Waves();
  for (int bits : {2, 4, 8}) {
    std::vector<uint8_t> bytes = Bytes(values);
    ASSERT_TRUE(RoundRows(kShape, bits, absl::MakeSpan(bytes)).ok());
    const float step = 6.0f / ((1 << bits) - 1);
    double most = 0;
    for (size_t i = 0; i < values.size(); ++i) most = std::max<double>(most, std::abs(ValueAt(bytes, i) - values[i]));
    EXPECT_LE(most, step / 2 + 0.005) << bits;  // and what halves round
    EXPECT_GT(most, step / 8) << bits;
  }
}

// An outlier costs the accuracy of its group, which shows what a group is.
TEST(RoundingTest, KeysAreGroupedByChannelAndValuesByRow) {
  for (bool is_value : {false, true}) {
    std::vector<float> values = Waves();
    values[Index(1, is_value, 3, 5)] = 1000;
    std::vector<uint8_t> bytes = Bytes(values), without = Bytes(Waves());
    ASSERT_TRUE(RoundRows(kShape, 4, absl::MakeSpan(bytes)).ok());
    ASSERT_TRUE(RoundRows(kShape, 4, absl::MakeSpan(without)).ok());
    auto changed = [&](uint32_t row, uint32_t dim) {
      return ValueAt(bytes, Index(1, is_value, row, dim)) != ValueAt(without, Index(1, is_value, row, dim));
    };
    EXPECT_EQ(changed(4, 5), !is_value);
    EXPECT_EQ(changed(31, 5), !is_value);
    EXPECT_FALSE(changed(32, 5));
    EXPECT_EQ(changed(3, 6), is_value);
    EXPECT_EQ(changed(3, 31), is_value);
    EXPECT_FALSE(changed(3, 32));
    EXPECT_NE(ValueAt(bytes, Index(1, is_value, 3, 5)), ValueAt(without, Index(1, is_value, 3, 5)));
    for (uint32_t row = 0; row < kRows; ++row) {
      const size_t other = Index(1, !is_value, row, 5);
      EXPECT_EQ(ValueAt(bytes, other), ValueAt(without, other));
    }
  }
}

TEST(RoundingTest, EqualValuesStayAndInfiniteOnesLeaveTheirGroupAlone) {
  const size_t count = size_t{4} * kRows * kShape.head_dim;
  std::vector<uint8_t> equal = Bytes(std::vector<float>(count, 0.25f)), before = equal;
  ASSERT_TRUE(RoundRows(kShape, 2, absl::MakeSpan(equal)).ok());
  EXPECT_EQ(equal, before);
  std::vector<float> values = Waves();
  values[Index(0, true, 1, 0)] = std::numeric_limits<float>::infinity();
  std::vector<uint8_t> bytes = Bytes(values);
  ASSERT_TRUE(RoundRows(kShape, 2, absl::MakeSpan(bytes)).ok());
  EXPECT_EQ(ValueAt(bytes, Index(0, true, 1, 0)), std::numeric_limits<float>::infinity());
  EXPECT_EQ(ValueAt(bytes, Index(0, true, 1, 7)), FromHalf(ToHalf(values[Index(0, true, 1, 7)])));
}

TEST(RoundingTest, AllElementTypesRoundAlike) {
  std::vector<uint8_t> half = Bytes(Waves());
  std::vector<float> exact;
  for (size_t i = 0; i < half.size() / 2; ++i) exact.push_back(ValueAt(half, i));
  std::vector<uint8_t> single(exact.size() * 4);
  std::memcpy(single.data(), exact.data(), single.size());
  RowShape f32 = kShape;
  f32.type = KvType::kF32;
  ASSERT_TRUE(RoundRows(kShape, 4, absl::MakeSpan(half)).ok());
  ASSERT_TRUE(RoundRows(f32, 4, absl::MakeSpan(single)).ok());
  for (size_t i = 0; i < exact.size(); ++i) {
    float value;
    std::memcpy(&value, &single[4 * i], 4);
    EXPECT_EQ(FromHalf(ToHalf(value)), ValueAt(half, i));
  }
}

TEST(RoundingTest, BytesAreBitsAndTwoHalvesForEachGroup) {
  // Of one head: 64 rows of 64 channels are 2 * 64 groups of keys and as many of values.
  const RowShape square = {.layers = 1, .kv_heads = 1, .head_dim = 64};
  EXPECT_EQ(RoundedRowBytes(square, 4, 64), 2u * 64 * 64 / 2 + 4 * 128 * 2);
  EXPECT_EQ(RoundedRowBytes(square, 2, 64), 64 * square.row_bytes() * 3 / 16);  // 3 bits a value of 16
  // 50 rows of 40 channels: parts of groups count as groups.
  EXPECT_EQ(RoundedRowBytes(kShape, 8, kRows), 2u * (2 * 50 * 40 + 4 * (2 * 40 + 50 * 2)));
}

}  // namespace
}  // namespace kedge
