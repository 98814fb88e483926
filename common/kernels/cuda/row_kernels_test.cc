// Kernels that work row by row give the bits of the CPU's scalar functions.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "common/kernels/cpu/scalar.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/fragments.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/test_device.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

// TSan takes its time to make a thread.
std::vector<std::optional<uint64_t>> Seeds() {
  if (emulated::HasThreadSanitizer()) return {1};
  return {std::nullopt, 1, 2};
}

// Rows without what stands between them.
using Rows = std::vector<std::vector<float>>;

Rows RandomRows(int rows, int columns, std::mt19937& random) {
  Rows out(rows, std::vector<float>(columns));
  for (std::vector<float>& row : out) {
    const float size = std::vector<float>{1e-3f, 1, 1, 30}[random() % 4];
    std::normal_distribution<float> normal(0, size);
    for (float& x : row) x = normal(random);
    if (random() % 3 == 0) row[random() % columns] = -0.0f;
    if (random() % 3 == 0) row[random() % columns] *= 1e4f;
    if (random() % 8 == 0) std::fill(row.begin(), row.end(), 0.0f);
  }
  return out;
}

// One more stride than columns need, so that rows have gaps: of NaN.
FloatRows Upload(TestDevice& device, const Rows& rows, int columns) {
  const int stride = (columns + 31) / 32 * 32 + 32;
  std::vector<float> all(rows.size() * stride, std::numeric_limits<float>::quiet_NaN());
  for (size_t r = 0; r < rows.size(); ++r) std::copy(rows[r].begin(), rows[r].end(), all.begin() + r * stride);
  return {device.Upload(all), columns, stride};
}
FloatRows New(TestDevice& device, int rows, int columns) {
  return Upload(device, Rows(rows, std::vector<float>(columns, std::nanf(""))), columns);
}
OperandRows NewOperand(TestDevice& device, int rows, int columns) {
  OperandRows out = {.floats = New(device, rows, columns)};
  if (columns % 32 == 0) out.quantized = device.New<uint8_t>(OperandBytes(rows, columns));
  return out;
}

// And that the gaps are what they were.
Rows Download(TestDevice& device, const FloatRows& x, int rows) {
  const std::vector<float> all = device.Download(x.data, size_t(rows) * x.stride);
  Rows out;
  for (int r = 0; r < rows; ++r) {
    const auto row = all.begin() + r * x.stride;
    out.emplace_back(row, row + x.columns);
    for (int i = x.columns; i < x.stride; ++i) EXPECT_TRUE(std::isnan(row[i])) << r << " " << i;
  }
  return out;
}

void ExpectSameBits(const Rows& rows, const Rows& expected) {
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    ASSERT_EQ(rows[r].size(), expected[r].size());
    EXPECT_EQ(std::memcmp(rows[r].data(), expected[r].data(), rows[r].size() * sizeof(float)), 0) << "row " << r;
  }
}

void ExpectQuantized(TestDevice& device, const OperandRows& x, const Rows& floats) {
  const int columns = x.floats.columns;
  if (columns % 32 != 0) {
    EXPECT_EQ(x.quantized, nullptr);
    return;
  }
  const std::vector<uint8_t> bytes = device.Download(x.quantized, OperandBytes(floats.size(), columns));
  std::vector<QuantizedBlock> expected(columns / 32);
  for (size_t r = 0; r < floats.size(); ++r) {
    scalar::QuantizeRow(floats[r].data(), columns, expected.data());
    for (int b = 0; b < columns / 32; ++b) {
      const uint8_t* chunk = &bytes[(r / kGroup * ChunksOf(columns) + b / kChunkBlocks) * kRowChunkBytes];
      const int half = r % kGroup / 8, at = b % kChunkBlocks * 8 + r % 8;
      for (int i = 0; i < 32; ++i) {
        ASSERT_EQ(static_cast<int8_t>(chunk[half * kRowHalf + CoreByte(r % 8, b % kChunkBlocks * 32 + i)]),
                  expected[b].values[i])
            << "row " << r << ", block " << b;
      }
      ASSERT_EQ(std::memcmp(chunk + half * kRowHalf + kRowScales + 4 * at, &expected[b].scale, 4), 0);
      ASSERT_EQ(std::memcmp(chunk + kRowSums + 4 * (half * kChunkBlocks * 8 + at), &expected[b].scaled_sum, 4), 0);
    }
  }
}

TEST(RowKernels, AddNorm) {
  std::mt19937 random(1);
  // 129 rows are many.
  for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{{1, 1},
                                                                      {3, 10},
                                                                      {5, 40},
                                                                      {19, 72},
                                                                      {2, 576},
                                                                      {3, 896},
                                                                      {1, 4096},
                                                                      {2, 4104},
                                                                      {1, 8192},
                                                                      {1, 16384},
                                                                      {129, 64}}) {
    for (const auto& seed : Seeds()) {
      SCOPED_TRACE(columns);
      TestDevice device(seed);
      for (const bool has_update : {true, false}) {
        Rows hidden = RandomRows(rows, columns, random);
        const Rows update = RandomRows(rows, columns, random), weight = RandomRows(1, columns, random);
        const FloatRows x = Upload(device, hidden, columns);
        const OperandRows out = NewOperand(device, rows, columns);
        ASSERT_TRUE(AddNorm(device.stream(), rows, has_update ? Upload(device, update, columns) : FloatRows{}, x,
                            device.Upload(weight[0]), 1e-5f, out)
                        .ok());
        Rows expected(rows, std::vector<float>(columns));
        for (int r = 0; r < rows; ++r) {
          if (has_update) scalar::Add(update[r].data(), columns, hidden[r].data());
          scalar::RmsNorm(hidden[r].data(), weight[0].data(), 1e-5f, columns, expected[r].data());
        }
        ExpectSameBits(Download(device, x, rows), hidden);
        ExpectSameBits(Download(device, out.floats, rows), expected);
        ExpectQuantized(device, out, expected);
      }
    }
  }
}

TEST(RowKernels, AddNormRefusesWiderRows) {
  TestDevice device(std::nullopt);
  EXPECT_EQ(AddNorm(device.stream(), 1, {}, {.columns = 16388, .stride = 16416}, nullptr, 0, {}).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(RowKernels, NormHeads) {
  std::mt19937 random(2);
  for (const int head_dim : {1, 8, 10, 12, 24, 32, 64, 128, 256}) {
    for (const int heads : {1, 3, 8}) {
      const int rows = 5, columns = heads * head_dim;
      Rows expected = RandomRows(rows, columns, random);
      const Rows weight = RandomRows(1, head_dim, random);
      for (const auto& seed : Seeds()) {
        TestDevice device(seed);
        const FloatRows x = Upload(device, expected, columns);
        ASSERT_TRUE(NormHeads(device.stream(), rows, heads, head_dim, device.Upload(weight[0]), 1e-6f, x).ok());
        Rows normed = expected;
        for (int i = 0; i < rows * heads; ++i) {
          const int at = i % heads * head_dim;
          scalar::RmsNorm(&expected[i / heads][at], weight[0].data(), 1e-6f, head_dim, &normed[i / heads][at]);
        }
        ExpectSameBits(Download(device, x, rows), normed);
      }
    }
  }
}

TEST(RowKernels, Add) {
  std::mt19937 random(3);
  for (const int columns : {1, 7, 40, 1030}) {
    const Rows x = RandomRows(6, columns, random), y = RandomRows(6, columns, random);
    Rows expected = x;
    for (int r = 0; r < 6; ++r) scalar::Add(y[r].data(), columns, expected[r].data());
    for (const auto& seed : Seeds()) {
      TestDevice device(seed);
      const FloatRows to = Upload(device, x, columns);
      ASSERT_TRUE(Add(device.stream(), 6, Upload(device, y, columns), to).ok());
      ExpectSameBits(Download(device, to, 6), expected);
    }
  }
}

TEST(RowKernels, SwiGlu) {
  std::mt19937 random(4);
  for (const int columns : {3, 32, 72, 160, 1056}) {
    Rows gate = RandomRows(10, columns, random);
    const Rows up = RandomRows(10, columns, random);
    // Where exp ends, and beyond.
    const float edges[] = {-200, -88, 87.3f, 100, -0.0f, std::numeric_limits<float>::infinity()};
    for (int i = 0; i < 6; ++i) gate[i][random() % columns] = edges[i];
    Rows expected = gate;
    for (int r = 0; r < 10; ++r) scalar::SwiGlu(up[r].data(), columns, expected[r].data());
    for (const auto& seed : Seeds()) {
      for (const bool in_place : {false, true}) {
        TestDevice device(seed);
        const FloatRows from = Upload(device, gate, columns);
        OperandRows out = NewOperand(device, 10, columns);
        if (in_place) out.floats = from;
        ASSERT_TRUE(SwiGlu(device.stream(), 10, from, Upload(device, up, columns), out).ok());
        ExpectSameBits(Download(device, out.floats, 10), expected);
        ExpectQuantized(device, out, expected);
      }
    }
  }
}

TEST(RowKernels, Quantize) {
  std::mt19937 random(5);
  for (const int columns : {32, 96, 128, 1056}) {
    Rows rows = RandomRows(19, columns, random);
    for (int i = 0; i < 32; ++i) rows[3][i] *= 1e-35f;  // too small for a scale
    for (const auto& seed : Seeds()) {
      TestDevice device(seed);
      const OperandRows x = {.floats = Upload(device, rows, columns),
                             .quantized = device.New<uint8_t>(OperandBytes(19, columns))};
      ASSERT_TRUE(Quantize(device.stream(), 19, x).ok());
      ExpectQuantized(device, x, rows);
    }
  }
  TestDevice device(std::nullopt);
  EXPECT_EQ(Quantize(device.stream(), 1, {.floats = New(device, 1, 40)}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(RowKernels, Gather) {
  std::mt19937 random(6);
  for (const int columns : {5, 64, 1100}) {
    const Rows x = RandomRows(7, columns, random);
    const std::vector<uint32_t> wanting = {6, 0, 3, 3};
    for (const auto& seed : Seeds()) {
      TestDevice device(seed);
      const FloatRows out = New(device, 4, columns);
      ASSERT_TRUE(Gather(device.stream(), 4, device.Upload(wanting), Upload(device, x, columns), out).ok());
      ExpectSameBits(Download(device, out, 4), {x[6], x[0], x[3], x[3]});
    }
  }
}

TEST(RowKernels, NoRowsAreNoLaunch) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(AddNorm(device.stream(), 0, {}, {.columns = 64, .stride = 64}, nullptr, 0, {}).ok());
  EXPECT_TRUE(NormHeads(device.stream(), 0, 2, 32, nullptr, 0, {}).ok());
  EXPECT_TRUE(Add(device.stream(), 0, {}, {.columns = 64, .stride = 64}).ok());
  EXPECT_TRUE(SwiGlu(device.stream(), 0, {.columns = 64, .stride = 64}, {}, {}).ok());
  EXPECT_TRUE(Quantize(device.stream(), 0, {}).ok());
  EXPECT_TRUE(Gather(device.stream(), 0, nullptr, {}, {.columns = 64, .stride = 64}).ok());
}

}  // namespace
}  // namespace kedge::cuda
