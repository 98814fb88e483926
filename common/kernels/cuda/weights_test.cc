// Packing: whatever the pieces, the same bytes; nothing of what fills up a matrix is left to chance. What a device
// makes of the bytes: embed_test.cc, products_test.cc.
#include "common/kernels/cuda/weights.h"

#include <random>
#include <string>
#include <vector>

#include "common/kernels/dequantize.h"
#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                                    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

std::string RandomTensor(TensorType type, size_t size) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(size);
  for (float& value : values) value = normal(random);
  return Quantize(type, values);
}

std::vector<uint8_t> Pack(TensorType type, int outputs, int inputs, absl::Span<const uint8_t> data,
                          const std::vector<int>& pieces) {
  const size_t group_bytes = GroupBytes(FormOf(type), inputs);
  std::vector<uint8_t> packed(PackedBytes(FormOf(type), outputs, inputs), 0x11 * pieces.size());  // all is written
  int first = 0;
  for (const int count : pieces) {
    PackGroups(type, outputs, inputs, data, first, count, packed.data() + first * group_bytes);
    first += count;
  }
  EXPECT_EQ(first * group_bytes, packed.size());
  return packed;
}

TEST(Weights, PiecesMakeTheWhole) {
  for (const TensorType type : kAllTypes) {
    const int inputs = BlockSize(type) == 256 ? 256 : 96, outputs = 3 * GroupOutputs(FormOf(type)) - 5;
    const std::string data = " " + RandomTensor(type, size_t(outputs) * inputs);  // not aligned
    const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(data.data()) + 1, data.size() - 1);
    EXPECT_EQ(Pack(type, outputs, inputs, bytes, {3}), Pack(type, outputs, inputs, bytes, {1, 2}))
        << TensorTypeName(type);
  }
}

// A matrix of outputs and inputs that fill their chunks, all its last ones zeros, packs like one without those. (Of the
// other types, zeros of a file are not all zeros when packed.)
TEST(Weights, AreFilledUpWithZeros) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0,
                                TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_1}) {
    const int group = GroupOutputs(FormOf(type)), inputs = ChunkInputs(FormOf(type));
    const std::string data = RandomTensor(type, size_t(group) * inputs);
    const size_t row_bytes = TensorBytes(type, inputs);
    std::vector<uint8_t> whole(data.begin(), data.end()), part;
    const int few_outputs = group - 3, few_inputs = inputs - 32;
    for (int output = 0; output < group; ++output) {
      const auto row = whole.begin() + output * row_bytes, kept = row + TensorBytes(type, few_inputs);
      if (output < few_outputs) part.insert(part.end(), row, kept);
      std::fill(output < few_outputs ? kept : row, row + row_bytes, 0);
    }
    EXPECT_EQ(Pack(type, few_outputs, few_inputs, part, {1}), Pack(type, group, inputs, whole, {1}))
        << TensorTypeName(type);
  }
}

// 8B parameters fit where they should.
TEST(Weights, BytesOfAWeight) {
  const auto bits = [](TensorType type) { return 8.0 * PackedBytes(FormOf(type), 4096, 4096) / 4096 / 4096; };
  EXPECT_EQ(bits(TensorType::kBF16), 16);
  EXPECT_EQ(bits(TensorType::kQ8_0), 8.5);
  EXPECT_EQ(bits(TensorType::kQ4_0), 4.5);
  EXPECT_EQ(bits(TensorType::kQ4_1), 5);
  EXPECT_EQ(bits(TensorType::kQ4_K), 4.75);
  EXPECT_EQ(bits(TensorType::kQ5_K), 10);
  EXPECT_EQ(bits(TensorType::kQ6_K), 10);
}

}  // namespace
}  // namespace kedge::cuda
