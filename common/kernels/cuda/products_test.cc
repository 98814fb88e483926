// Multiply gives the bits of the CPU's scalar kernels, for every type of weights, few rows and many.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/base/thread_pool.h"
#include "common/kernels/cpu/panels.h"
#include "common/kernels/cpu/scalar.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/test_device.h"
#include "common/kernels/cuda/weights.h"
#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                                    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};
// Few of each for TSan, to which each thread of a kernel is one of its own.
using Seeds = std::vector<std::optional<uint64_t>>;
const Seeds kSeeds = emulated::HasThreadSanitizer() ? Seeds{1} : Seeds{std::nullopt, 1, 2};
const std::vector<int> kRows = emulated::HasThreadSanitizer()
                                   ? std::vector<int>{1, 17, 65}
                                   : std::vector<int>{1, 2, 7, 8, 9, 16, 17, 33, 64, 65, 130};
// Of an H200 and a 4090.
const std::vector<int> kSharedBytes = {227 << 10, 99 << 10};

std::vector<float> RandomFloats(std::mt19937& random, size_t size) {
  std::normal_distribution<float> normal(0, 1.5f);
  std::vector<float> out(size);
  for (float& x : out) x = normal(random);
  return out;
}

template <typename T>
T Pick(std::mt19937& random, const std::vector<T>& from) {
  return from[random() % from.size()];
}

// x, [rows][inputs], as a device has it.
OperandRows UploadOperand(TestDevice& device, const std::vector<float>& x, int rows, int inputs) {
  const int stride = (inputs + 31) / 32 * 32;
  std::vector<float> floats(size_t(rows) * stride, NAN);
  for (int r = 0; r < rows; ++r) std::copy_n(&x[size_t(r) * inputs], inputs, &floats[size_t(r) * stride]);
  OperandRows operand = {{device.Upload(floats), inputs, stride}, nullptr};
  if (inputs % 32 != 0) return operand;
  std::vector<uint8_t> chunks(OperandBytes(rows, inputs), 0x3c);  // what was never written is finite
  for (int r = 0; r < rows; ++r) {
    std::vector<QuantizedBlock> blocks(inputs / 32);
    scalar::QuantizeRow(&x[size_t(r) * inputs], inputs, blocks.data());
    for (int b = 0; b < inputs / 32; ++b) {
      uint8_t* chunk = &chunks[(size_t(r / kGroup) * ChunksOf(inputs) + b / kChunkBlocks) * kRowChunkBytes];
      const int half = r % kGroup / 8, at = (b % kChunkBlocks * 8 + r % 8) * 4;
      for (int k = 0; k < 32; ++k) {
        chunk[half * kRowHalf + CoreByte(r % 8, b % kChunkBlocks * 32 + k)] =
            static_cast<uint8_t>(blocks[b].values[k]);
      }
      std::memcpy(chunk + half * kRowHalf + kRowScales + at, &blocks[b].scale, 4);
      std::memcpy(chunk + kRowSums + half * kChunkBlocks * 8 * 4 + at, &blocks[b].scaled_sum, 4);
    }
  }
  operand.quantized = device.Upload(chunks);
  return operand;
}

// A product, on a device and on the CPU.
class TestProduct {
 public:
  TestProduct(TestDevice& device, std::mt19937& random, TensorType type, int outputs, int inputs, int rows)
      : device_(device), rows_(rows), pool_(1), data_(Quantize(type, RandomFloats(random, size_t(outputs) * inputs))) {
    const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(data_.data()), data_.size());
    on_cpu_ = std::make_unique<CpuMatrix>(type, outputs, inputs, bytes, pool_);
    const WeightForm form = cuda::FormOf(type);
    std::vector<uint8_t> packed(PackedBytes(form, outputs, inputs));
    PackGroups(type, outputs, inputs, bytes, 0, Groups(form, outputs), packed.data());
    matrix_ = {form, outputs, inputs, device.Upload(packed)};
    if (random() % 2 == 0) bias_ = RandomFloats(random, outputs);
    stride_ = (outputs + 31) / 32 * 32 + 32 * (random() % 2);
    product_ = {&matrix_,
                bias_.empty() ? nullptr : device.Upload(bias_),
                {device.New<float>(size_t(rows) * stride_), outputs, stride_}};
  }
  TestProduct(const TestProduct&) = delete;

  const Product& product() const { return product_; }

  // Whether all rows hold what the CPU has, but those that `passed_over` names, and nothing else was written.
  bool IsRight(const std::vector<float>& x, const std::vector<int>& passed_over = {}) {
    const std::vector<float> expected = OnCpu(x), got = device_.Download(product_.out.data, size_t(rows_) * stride_);
    for (int r = 0; r < rows_; ++r) {
      if (std::find(passed_over.begin(), passed_over.end(), r) != passed_over.end()) continue;
      std::vector<float> row(stride_);
      std::memset(row.data(), 0xff, stride_ * sizeof(float));
      std::copy_n(&expected[size_t(r) * matrix_.outputs], matrix_.outputs, row.data());
      if (std::memcmp(row.data(), &got[size_t(r) * stride_], stride_ * sizeof(float)) != 0) return false;
    }
    return true;
  }

 private:
  std::vector<float> OnCpu(const std::vector<float>& x) const {
    const int inputs = matrix_.inputs, stride = on_cpu_->panels() * kPanelOutputs;
    std::vector<float> all(size_t(rows_) * stride), out;
    if (IsQuantized(matrix_.form)) {
      std::vector<QuantizedBlock> blocks(size_t(rows_) * inputs / 32);
      scalar::QuantizeRow(x.data(), rows_ * inputs, blocks.data());
      scalar::MultiplyQuantized(on_cpu_->view(), 0, on_cpu_->panels(), blocks.data(), rows_, all.data(), stride, {});
    } else {
      scalar::MultiplyFloat(on_cpu_->view(), 0, on_cpu_->panels(), x.data(), inputs, rows_, all.data(), stride);
    }
    for (int r = 0; r < rows_; ++r) {
      if (!bias_.empty()) scalar::Add(bias_.data(), matrix_.outputs, &all[size_t(r) * stride]);
      out.insert(out.end(), &all[size_t(r) * stride], &all[size_t(r) * stride] + matrix_.outputs);
    }
    return out;
  }

  TestDevice& device_;
  const int rows_;
  ThreadPool pool_;
  const std::string data_;
  std::unique_ptr<CpuMatrix> on_cpu_;
  Matrix matrix_;
  std::vector<float> bias_;
  int stride_ = 0;
  Product product_;
};

class ProductsTest : public testing::TestWithParam<TensorType> {};

INSTANTIATE_TEST_SUITE_P(Types, ProductsTest, testing::ValuesIn(kAllTypes),
                         [](const auto& type) { return TensorTypeName(type.param); });

// One to five matrices, the first of the type, the others of any.
TEST_P(ProductsTest, HaveTheBitsOfTheCpu) {
  std::mt19937 random(static_cast<uint32_t>(GetParam()));
  for (const int rows : kRows) {
    for (const std::optional<uint64_t> seed : kSeeds) {
      TestDevice device(seed);
      std::vector<int> some_inputs = {256, 512};
      if (BlockSize(GetParam()) <= 32) some_inputs = {32, 64, 96, 128, 160, 256, 576};
      if (BlockSize(GetParam()) == 1) some_inputs.insert(some_inputs.end(), {1, 40, 41, 72});
      const int inputs = Pick(random, some_inputs);
      const std::vector<float> x = RandomFloats(random, size_t(rows) * inputs);
      const OperandRows operand = UploadOperand(device, x, rows, inputs);
      std::vector<std::unique_ptr<TestProduct>> products;
      std::vector<Product> asked;
      std::string what = "rows " + std::to_string(rows) + ", inputs " + std::to_string(inputs);
      for (const size_t count = Pick<size_t>(random, {1, 1, 2, 3, 5}); products.size() < count;) {
        TensorType type = GetParam();
        if (random() % 2 == 0 && !products.empty()) type = kAllTypes[random() % std::size(kAllTypes)];
        if (inputs % BlockSize(type) != 0) continue;
        const int outputs = Pick(random, rows > 64 && count > 2 ? std::vector<int>{1, 17, 40}
                                                                : std::vector<int>{1, 8, 15, 16, 17, 40, 48, 100});
        products.push_back(std::make_unique<TestProduct>(device, random, type, outputs, inputs, rows));
        asked.push_back(products.back()->product());
        what += ", " + TensorTypeName(type) + " " + std::to_string(outputs);
      }
      DeviceProperties properties = device.properties();
      properties.shared_bytes = Pick(random, kSharedBytes);
      ASSERT_TRUE(Multiply(device.stream(), properties, rows, operand, asked).ok());
      for (size_t i = 0; i < products.size(); ++i) ASSERT_TRUE(products[i]->IsRight(x)) << what << ": product " << i;
    }
  }
}

TEST_P(ProductsTest, WhatIsNoNumberStaysInItsRow) {
  std::mt19937 random(7);
  for (const int rows : {7, 70}) {
    constexpr int kInputs = 256;
    TestDevice device(1);
    std::vector<float> x = RandomFloats(random, size_t(rows) * kInputs);
    x[2 * kInputs + 33] = std::numeric_limits<float>::quiet_NaN();
    x[4 * kInputs + 200] = std::numeric_limits<float>::infinity();
    TestProduct product(device, random, GetParam(), 20, kInputs, rows);
    const OperandRows operand = UploadOperand(device, x, rows, kInputs);
    ASSERT_TRUE(Multiply(device.stream(), device.properties(), rows, operand, {product.product()}).ok());
    EXPECT_TRUE(product.IsRight(x, {2, 4})) << rows;
  }
}

// Each ring has several groups, and comes through its stages often.
TEST(Products, RingsGoRound) {
  std::mt19937 random(8);
  for (const std::optional<uint64_t> seed : kSeeds) {
    for (const int rows : {1, 40}) {
      constexpr int kInputs = 512;
      TestDevice device(seed);
      const std::vector<float> x = RandomFloats(random, size_t(rows) * kInputs);
      TestProduct a(device, random, TensorType::kQ8_0, 400, kInputs, rows);
      TestProduct b(device, random, TensorType::kQ8_0, 200, kInputs, rows);
      TestProduct c(device, random, TensorType::kF16, 260, kInputs, rows);
      DeviceProperties properties = device.properties();
      properties.multiprocessors = 2;
      properties.shared_bytes = 40 << 10;
      ASSERT_TRUE(Multiply(device.stream(), properties, rows, UploadOperand(device, x, rows, kInputs),
                           {a.product(), b.product(), c.product()})
                      .ok());
      EXPECT_TRUE(a.IsRight(x) && b.IsRight(x) && c.IsRight(x)) << rows;
    }
  }
}

TEST(Products, WhatDoesNotFitIsRefused) {
  TestDevice device(std::nullopt);
  const Matrix matrix = {WeightForm::kBytes, 32, 64};
  const auto multiply = [&](const OperandRows& x, int stride) {
    return Multiply(device.stream(), device.properties(), 0, x, {{&matrix, nullptr, {nullptr, 32, stride}}});
  };
  uint8_t some;
  EXPECT_TRUE(multiply({{nullptr, 64, 64}, &some}, 32).ok());  // no rows
  EXPECT_EQ(multiply({{nullptr, 32, 32}, &some}, 32).message(),
            "multiply: products[0].matrix.inputs must be x.floats.columns");
  EXPECT_EQ(multiply({{nullptr, 64, 64}, &some}, 31).message(),
            "multiply: products[0].matrix.outputs must be in [1, out.stride]");
  EXPECT_EQ(multiply({{nullptr, 64, 64}, nullptr}, 32).message(),
            "multiply: products[0].matrix is quantised, x is not");
}

}  // namespace
}  // namespace kedge::cuda
