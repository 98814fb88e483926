// Every kernel of every instruction set that this machine has gives the bits of the scalar one; the scalar ones are
// held against plain formulas, with bounds that are derived beside them.
#include "common/kernels/cpu/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cpu/exp.h"
#include "common/kernels/cpu/panels.h"
#include "common/kernels/dequantize.h"
#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                                    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

std::vector<float> RandomFloats(std::mt19937& random, size_t count, float deviation = 1) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

const CpuKernels& Scalar() { return KernelsFor(InstructionSet::kScalar); }

// With each set of vectors; skips those that this machine does not have.
class VectorKernelsTest : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!IsAvailable(GetParam())) GTEST_SKIP() << "this machine has no " << InstructionSetName(GetParam());
  }
  const CpuKernels& Vector() { return KernelsFor(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Sets, VectorKernelsTest,
                         testing::Values(InstructionSet::kAvx2, InstructionSet::kAvx512Vnni, InstructionSet::kAmxInt8),
                         [](const auto& set) {
                           return absl::StrReplaceAll(std::string(InstructionSetName(set.param)), {{"-", "_"}});
                         });

TEST_P(VectorKernelsTest, QuantizedRowsHaveTheSameBits) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> x = RandomFloats(random, 96, std::exp2(static_cast<float>(round % 40) - 20));
    if (round % 5 == 0) std::fill(x.begin(), x.begin() + 32, 0.0f);
    if (round % 7 == 0) x[40] = 1e6f;
    if (round % 11 == 0) x[70] = -1e-37f;
    std::vector<QuantizedBlock> a(3), b(3);
    Scalar().quantize_row(x.data(), 96, a.data());
    Vector().quantize_row(x.data(), 96, b.data());
    ASSERT_TRUE(SameBits(a, b)) << round;
  }
}

TEST_P(VectorKernelsTest, ProductsHaveTheSameBits) {
  std::mt19937 random(2);
  ThreadPool pool(1);
  for (TensorType type : kAllTypes) {
    for (int inputs : {32, 96, 320, 768}) {
      if (inputs % BlockSize(type) != 0) continue;
      for (int outputs : {16, 32, 80}) {
        for (int rows : {1, 2, 3, 4, 5, 6, 7, 11, 14, 16, 39}) {
          const std::string data = Quantize(type, RandomFloats(random, size_t(outputs) * inputs));
          const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
          const CpuMatrix matrix(type, outputs, inputs, absl::MakeConstSpan(bytes, data.size()), pool);
          const std::vector<float> x = RandomFloats(random, size_t(rows) * inputs, 3);
          std::vector<float> a(size_t(rows) * outputs), b(a);
          if (IsQuantized(FormOf(type))) {
            std::vector<QuantizedBlock> blocks(size_t(rows) * inputs / 32);
            for (int r = 0; r < rows; ++r) Scalar().quantize_row(&x[r * inputs], inputs, &blocks[r * inputs / 32]);
            Scalar().multiply_quantized(matrix.view(), 0, matrix.panels(), blocks.data(), rows, a.data(), outputs, {});
            Vector().multiply_quantized(matrix.view(), 0, matrix.panels(), blocks.data(), rows, b.data(), outputs,
                                        {matrix.view().data, 1 + random() % matrix.view().panel_bytes});
          } else {
            Scalar().multiply_float(matrix.view(), 0, matrix.panels(), x.data(), inputs, rows, a.data(), outputs);
            Vector().multiply_float(matrix.view(), 0, matrix.panels(), x.data(), inputs, rows, b.data(), outputs);
          }
          ASSERT_TRUE(SameBits(a, b)) << TensorTypeName(type) << " " << inputs << " " << outputs << " " << rows;
        }
      }
    }
  }
}

// All quants at their limits: -128 for Q8_0, 0 and 15, 31 or 63 for the others, activations at -127 and 127. What
// saturates in 16 bits shows here.
TEST_P(VectorKernelsTest, ExtremeQuantsAreExact) {
  ThreadPool pool(1);
  for (TensorType type : kAllTypes) {
    if (!IsQuantized(FormOf(type))) continue;
    const int inputs = std::max(64, BlockSize(type));
    for (uint8_t quant : {0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0}) {
      for (float sign : {1.0f, -1.0f, 0.0f}) {  // 0: alternating
        std::vector<uint8_t> data(kPanelOutputs * inputs / BlockSize(type) * BlockBytes(type), quant);
        for (size_t block = 0; block < data.size(); block += BlockBytes(type)) {
          const uint16_t one = 0x3c00;
          std::memcpy(&data[block + (type == TensorType::kQ6_K ? 208 : 0)], &one, 2);
          if (HasMinimum(FormOf(type)) && type != TensorType::kQ5_0) std::memcpy(&data[block + 2], &one, 2);
        }
        const CpuMatrix matrix(type, kPanelOutputs, inputs, data, pool);
        std::vector<float> x(inputs), weights(inputs);
        for (int i = 0; i < inputs; ++i) x[i] = sign != 0 ? sign : (i % 2 == 0 ? 1.0f : -1.0f);
        DequantizeWeights(type, matrix.FileRow(0), absl::MakeSpan(weights));
        double expected = 0, magnitudes = 0;
        for (int i = 0; i < inputs; ++i) {
          expected += double{weights[i]} * x[i];
          magnitudes += std::abs(weights[i]);
        }
        constexpr int kRows = 16;  // packed weights serve one row, unpacked ones many
        std::vector<QuantizedBlock> blocks(kRows * inputs / 32);
        for (int r = 0; r < kRows; ++r) Scalar().quantize_row(x.data(), inputs, &blocks[r * inputs / 32]);
        for (const CpuKernels* kernels : {&Scalar(), &Vector()}) {
          for (int rows : {1, kRows}) {
            std::vector<float> out(rows * kPanelOutputs);
            kernels->multiply_quantized(matrix.view(), 0, 1, blocks.data(), rows, out.data(), kPanelOutputs, {});
            // Of K-quants, product and minimum may each be 16 times larger than the weights.
            for (float value : out) ASSERT_NEAR(value, expected, 1e-5 * (16 * magnitudes + 64)) << TensorTypeName(type);
          }
        }
      }
    }
  }
}

TEST_P(VectorKernelsTest, RowOperationsHaveTheSameBits) {
  std::mt19937 random(3);
  for (int size : {2, 8, 10, 16, 30, 64, 80, 576, 578}) {
    const std::vector<float> x = RandomFloats(random, size, 5);
    const std::vector<float> y = RandomFloats(random, size, 40);
    const std::vector<float> z = RandomFloats(random, size);
    std::vector<float> a(size), b(size);
    Scalar().rms_norm(x.data(), y.data(), 1e-5f, size, a.data());
    Vector().rms_norm(x.data(), y.data(), 1e-5f, size, b.data());
    EXPECT_TRUE(SameBits(a, b)) << size;
    a = b = x;
    Scalar().rope(y.data(), z.data(), size, a.data());
    Vector().rope(y.data(), z.data(), size, b.data());
    EXPECT_TRUE(SameBits(a, b)) << size;
    a = b = x;
    Scalar().add(y.data(), size, a.data());
    Vector().add(y.data(), size, b.data());
    EXPECT_TRUE(SameBits(a, b)) << size;
    a = b = y;  // wide enough to reach both ends of exp
    a[0] = b[0] = -1000;
    a[1] = b[1] = 1000;
    Scalar().swiglu(x.data(), size, a.data());
    Vector().swiglu(x.data(), size, b.data());
    EXPECT_TRUE(SameBits(a, b)) << size;
  }
}

TEST_P(VectorKernelsTest, KvRoundingHasTheSameBits) {
  std::mt19937 random(4);
  std::vector<float> x;
  for (int i = 0; i < 200000; ++i) x.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));  // any bits
  for (uint32_t half = 0; half < 0x8000; ++half) {  // halves, and ties between them
    const float value = HalfToFloat(static_cast<uint16_t>(half));
    x.push_back(value);
    x.push_back(std::bit_cast<float>(std::bit_cast<uint32_t>(value) + 0x1000));
    x.push_back((value + HalfToFloat(static_cast<uint16_t>(half + 1))) / 2);
  }
  const int size = static_cast<int>(x.size());
  for (KvType type : kKvTypes) {
    std::vector<uint8_t> a(x.size() * 4), b(a);
    Scalar().to_kv(type, KvPart::kKey, x.data(), size, a.data());
    Vector().to_kv(type, KvPart::kKey, x.data(), size, b.data());
    EXPECT_TRUE(SameBits(a, b)) << KvTypeName(type);
  }
}

// Of all sizes, blocks that are not whole among them, with the ends of what a scale holds, and what is no number.
TEST_P(VectorKernelsTest, KvBlocksHaveTheSameBits) {
  std::mt19937 random(9);
  for (const auto& [type, part] : {std::pair{KvType::kQ8, KvPart::kKey},
                                   {KvType::kK6V4, KvPart::kKey},
                                   {KvType::kK6V4, KvPart::kValue}}) {
    const float steps = RoundingSteps(type, part);
    for (const int size : {2, 8, 10, 32, 34, 64, 80, 96, 128}) {
      for (int round = 0; round < 200; ++round) {
        std::vector<float> x = RandomFloats(random, size, std::exp2(static_cast<float>(round % 60) - 34));
        if (round % 7 == 0) std::fill_n(x.begin(), std::min(size, 32), 0.0f);
        const float odd[] = {steps * 65504.0f,
                             steps * 65540.0f,
                             std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN(),
                             std::numeric_limits<float>::denorm_min()};
        if (round % 5 == 0) x[random() % size] = odd[round / 5 % std::size(odd)];
        std::vector<uint8_t> a(PagePartBytes(type, size)), b(a);
        Scalar().to_kv(type, part, x.data(), size, a.data());
        Vector().to_kv(type, part, x.data(), size, b.data());
        ASSERT_EQ(a, b) << size << " " << round;
      }
    }
  }
}

TEST_P(VectorKernelsTest, AccumulateHasTheSameBits) {
  std::mt19937 random(5);
  for (KvType type : kKvTypes) {
    for (int columns : {8, 16, 24, 32, 64, 80}) {
      const std::vector<float> all_scales = RandomFloats(random, columns);
      for (int heads = 1; heads <= 14; ++heads) {
        const float* scales = heads % 2 == 0 ? nullptr : all_scales.data();
        const int begin = static_cast<int>(random() % 32);
        const int end = begin + 1 + static_cast<int>(random() % (32 - begin));
        const int block_begin = static_cast<int>(random() % (columns / 8));
        const std::vector<float> factors = RandomFloats(random, heads * 40);
        std::vector<uint8_t> b(PagePartBytes(type, 32 * columns));
        Scalar().to_kv(type, KvPart::kKey, RandomFloats(random, 32 * columns).data(), 32 * columns, b.data());
        std::vector<float> x = RandomFloats(random, heads * columns), y = x;
        Scalar().accumulate(type, heads, factors.data(), 40, b.data(), columns, begin, end, block_begin, columns / 8,
                            scales, x.data(), columns);
        Vector().accumulate(type, heads, factors.data(), 40, b.data(), columns, begin, end, block_begin, columns / 8,
                            scales, y.data(), columns);
        ASSERT_TRUE(SameBits(x, y)) << KvTypeName(type) << " " << columns << " " << heads;
      }
    }
  }
}

TEST_P(VectorKernelsTest, ScaledWeightsHaveTheSameBits) {
  std::mt19937 random(10);
  const std::vector<float> scales = RandomFloats(random, kPageRows);
  for (int queries = 1; queries <= 5; ++queries) {
    const std::vector<float> weights = RandomFloats(random, queries * kPageRows);
    std::vector<float> a(weights.size()), b(a);
    Scalar().scale_weights(scales.data(), queries, weights.data(), a.data());
    Vector().scale_weights(scales.data(), queries, weights.data(), b.data());
    EXPECT_TRUE(SameBits(a, b)) << queries;
    EXPECT_EQ(a.back(), weights.back() * scales.back());
  }
}

TEST_P(VectorKernelsTest, EveryNumberOf8BitsIsReadAlike) {
  std::vector<int8_t> bytes;
  for (int i = -128; i < 128; ++i) bytes.push_back(static_cast<int8_t>(i));
  for (const int size : {256, 248}) {
    std::vector<float> a(size), b(size);
    Scalar().from_kv(KvType::kQ8, bytes.data(), size, a.data());
    Vector().from_kv(KvType::kQ8, bytes.data(), size, b.data());
    EXPECT_TRUE(SameBits(a, b));
    EXPECT_EQ(a[0], -128);
    EXPECT_EQ(a[247], 119);
  }
}

// Every half, subnormals included, is read alike.
TEST_P(VectorKernelsTest, EveryHalfIsReadAlike) {
  for (KvType type : {KvType::kF16, KvType::kBF16}) {
    std::vector<uint16_t> halves(0x10000);
    for (uint32_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
    const float one = 1;
    std::vector<float> a(halves.size()), b(a);
    const int blocks = static_cast<int>(halves.size() / 8);
    Scalar().accumulate(type, 1, &one, 1, halves.data(), 0, 0, 1, 0, blocks, nullptr, a.data(), 0);
    Vector().accumulate(type, 1, &one, 1, halves.data(), 0, 0, 1, 0, blocks, nullptr, b.data(), 0);
    EXPECT_TRUE(SameBits(a, b));
    const int size = static_cast<int>(halves.size()) - 8;
    Scalar().from_kv(type, halves.data(), size, a.data());
    Vector().from_kv(type, halves.data(), size, b.data());
    EXPECT_TRUE(SameBits(a, b));
  }
}

TEST_P(VectorKernelsTest, SoftmaxHasTheSameBitsAndIgnoresHiddenScores) {
  std::mt19937 random(6);
  for (int begin = 0; begin < 32; ++begin) {
    for (int end = begin + 1; end <= 32; ++end) {
      std::vector<float> scores = RandomFloats(random, 32, 30);
      for (int j = 0; j < 32; ++j) {
        if (j < begin || j >= end) scores[j] = j % 2 == 0 ? std::numeric_limits<float>::quiet_NaN() : 1e30f;
      }
      const bool first_page = begin % 2 == 0;
      const SoftmaxState start = first_page ? SoftmaxState{-std::numeric_limits<float>::infinity(), 0}
                                            : SoftmaxState{RandomFloats(random, 1, 30)[0], 2.5f};
      SoftmaxState a_state = start, b_state = start;
      std::vector<float> a(32), b(32), a_values = RandomFloats(random, 10), b_values = a_values;
      Scalar().softmax_page(scores.data(), begin, end, &a_state, a.data(), a_values.data(), 10);
      Vector().softmax_page(scores.data(), begin, end, &b_state, b.data(), b_values.data(), 10);
      ASSERT_TRUE(SameBits(a, b)) << begin << " " << end;
      ASSERT_TRUE(SameBits(a_values, b_values));
      ASSERT_EQ(std::memcmp(&a_state, &b_state, sizeof(a_state)), 0);
      double sum = first_page ? 0 : 2.5 * std::exp(double{start.max} - a_state.max);
      for (int j = begin; j < end; ++j) sum += std::exp(double{scores[j]} - a_state.max);
      ASSERT_NEAR(a_state.sum / sum, 1, 1e-6);
      for (int j = 0; j < 32; ++j) {
        if (j < begin || j >= end) {
          ASSERT_EQ(a[j], 0);
        }
      }
    }
  }
}

TEST(ScalarKernelsTest, ExpIsWithinTwoUnits) {
  for (int i = -873000; i <= 880000; ++i) {
    const float x = static_cast<float>(i) * 1e-4f;
    const double expected = std::exp(double{x});
    ASSERT_NEAR(ExpFloat(x) / expected, 1, 2 * 5.97e-8 * 2) << x;
  }
  EXPECT_EQ(ExpFloat(0), 1);
  EXPECT_EQ(ExpFloat(-1e30f), ExpFloat(-87.3f));
  EXPECT_TRUE(std::isfinite(ExpFloat(1e30f)));
  EXPECT_TRUE(std::isnan(ExpFloat(std::numeric_limits<float>::quiet_NaN())));
}

TEST(ScalarKernelsTest, QuantizedRowsAreWithinHalfAStep) {
  std::mt19937 random(7);
  for (int round = 0; round < 100; ++round) {
    const std::vector<float> x = RandomFloats(random, 32, std::exp2(static_cast<float>(round % 20) - 10));
    QuantizedBlock block;
    Scalar().quantize_row(x.data(), 32, &block);
    int sum = 0, first_sum = 0;
    for (int i = 0; i < 32; ++i) {
      EXPECT_LE(std::abs(block.values[i]), 127);
      EXPECT_NEAR(x[i], block.scale * block.values[i], block.scale * 0.50001f);
      sum += block.values[i];
      if (i < 16) first_sum += block.values[i];
    }
    EXPECT_EQ(block.scaled_sum, block.scale * static_cast<float>(sum));
    EXPECT_EQ(block.excess, -128 * sum);
    EXPECT_EQ(block.first_excess, -128 * first_sum);
  }
}

// Panels against the file's layout, for outputs that do not fill the last panel. The oracle is the test library's.
TEST(PanelsTest, EveryWeightCountsOnceAtItsPlace) {
  std::mt19937 random(8);
  for (TensorType type : kAllTypes) {
    for (int threads : {1, 3}) {
      ThreadPool pool(threads);
      const int outputs = 37;
      const int inputs = std::max(BlockSize(type) == 32 ? 96 : 7, BlockSize(type));
      const std::string data = Quantize(type, RandomFloats(random, outputs * inputs));
      const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
      const CpuMatrix matrix(type, outputs, inputs, absl::MakeConstSpan(bytes, data.size()), pool);
      const std::vector<float> weights = Dequantize(type, data, size_t(outputs) * inputs);
      ASSERT_EQ(matrix.panels(), 3);
      for (int i = 0; i < inputs; ++i) {
        std::vector<float> x(inputs);
        x[i] = 1;  // quantised without error: 127 times 1/127
        std::vector<float> out(48, -1);
        if (IsQuantized(FormOf(type))) {
          std::vector<QuantizedBlock> blocks(inputs / 32);
          Scalar().quantize_row(x.data(), inputs, blocks.data());
          Scalar().multiply_quantized(matrix.view(), 0, 3, blocks.data(), 1, out.data(), 48, {});
        } else {
          Scalar().multiply_float(matrix.view(), 0, 3, x.data(), inputs, 1, out.data(), 48);
        }
        for (int o = 0; o < 48; ++o) {
          const float expected = o < outputs ? weights[o * inputs + i] : 0;
          // Three roundings of numbers not above 2 * 15 / 127 of the block's largest weight, which is below 5.
          ASSERT_NEAR(out[o], expected, 2e-6) << TensorTypeName(type) << " output " << o << " input " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace kedge
