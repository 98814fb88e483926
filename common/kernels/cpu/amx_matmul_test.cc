// Plain code in place of the tile instructions, for processors that have no AMX; and these against the plain code, for
// those that have.
#if defined(__x86_64__)
#include "common/kernels/cpu/amx_matmul.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cpu/amx.h"
#include "common/kernels/cpu/kernels.h"
#include "common/kernels/cpu/panels.h"
#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr TensorType kQuantizedTypes[] = {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0,
                                          TensorType::kQ5_1, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

std::vector<float> RandomFloats(std::mt19937& random, size_t count) {
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

TEST(AmxMatMulTest, ProductsHaveTheBitsOfTheScalarCode) {
  if (!IsAvailable(InstructionSet::kAvx512Vnni)) GTEST_SKIP() << "this machine has no AVX-512 VNNI";
  const CpuKernels& scalar = KernelsFor(InstructionSet::kScalar);
  std::mt19937 random(1);
  ThreadPool pool(1);
  for (TensorType type : kQuantizedTypes) {
    const int inputs = std::max(96, BlockSize(type));
    const int blocks = inputs / 32;
    const int outputs = 40;
    std::string data = Quantize(type, RandomFloats(random, size_t(outputs) * inputs));
    if (type == TensorType::kQ8_0) std::memset(&data[2], 0x80, 32);  // -128, which Quantize does not make
    const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
    const CpuMatrix matrix(type, outputs, inputs, absl::MakeConstSpan(bytes, data.size()), pool);
    const int stride = matrix.panels() * kPanelOutputs;
    for (int rows : {1, 15, 16, 17, 31, 32, 50}) {
      std::vector<QuantizedBlock> x(size_t(rows) * blocks);
      for (int r = 0; r < rows; ++r) {
        scalar.quantize_row(RandomFloats(random, inputs).data(), inputs, &x[size_t(r) * blocks]);
      }
      std::vector<float> expected(size_t(rows) * stride), actual(expected);
      scalar.multiply_quantized(matrix.view(), 1, matrix.panels(), x.data(), rows, expected.data(), stride, {});
      amx::Multiply<amx::EmulatedTiles>(matrix.view(), 1, matrix.panels(), x.data(), rows, actual.data(), stride,
                                        {matrix.view().data, 100});
      ASSERT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0)
          << TensorTypeName(type) << " " << rows;
    }
  }
}

TEST(AmxTilesTest, InstructionsAndPlainCodeAgree) {
  if (!amx::IsAvailable()) GTEST_SKIP() << "this machine has no AMX";
  std::mt19937 random(2);
  constexpr size_t kStride = 80;
  std::vector<int8_t> a(amx::kTileRows * kStride), b(8 * 64);
  for (int8_t& value : a) value = static_cast<int8_t>(random());
  for (int8_t& value : b) value = static_cast<int8_t>(random());
  std::vector<int32_t> expected(amx::kTileRows * kPanelOutputs), actual(expected);
  amx::HardwareTiles<32>::Begin();
  amx::EmulatedTiles<32>::Multiply(a.data(), kStride, b.data(), expected.data());
  amx::HardwareTiles<32>::Multiply(a.data(), kStride, b.data(), actual.data());
  EXPECT_EQ(actual, expected);
  amx::HardwareTiles<16>::Begin();
  amx::EmulatedTiles<16>::Multiply(a.data() + 16, kStride, b.data() + 256, expected.data());
  amx::HardwareTiles<16>::Multiply(a.data() + 16, kStride, b.data() + 256, actual.data());
  EXPECT_EQ(actual, expected);
  amx::HardwareTiles<16>::End();
}

}  // namespace
}  // namespace kedge
#endif
