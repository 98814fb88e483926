// What the probe expects of a GPU is what the cpu backend computes, with its fastest kernels: otherwise the probe would
// prove something about itself.
#include "tests/gpu/host_reference.h"

#include <cstring>
#include <memory>

#include "absl/types/span.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/number_format.h"
#include "common/kernels/testing.h"
#include "gtest/gtest.h"

namespace kedge::probe {
namespace {

absl::Span<const uint8_t> Bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
}

TEST(HostReferenceTest, ProductsAreThoseOfTheBackend) {
  Random random(1);
  const int outputs = 48, inputs = 160, rows = 5;
  const Q8Matrix weights(random, outputs, inputs);
  std::vector<uint8_t> file;  // as GGUF has Q8_0
  for (size_t b = 0; b < weights.scales.size(); ++b) {
    const uint8_t* scale = reinterpret_cast<const uint8_t*>(&weights.scales[b]);
    const uint8_t* quants = reinterpret_cast<const uint8_t*>(&weights.quants[b * 32]);
    file.insert(file.end(), scale, scale + 2);
    file.insert(file.end(), quants, quants + 32);
  }
  const std::vector<float> x = RandomFloats(random, rows * inputs, 2);
  const std::unique_ptr<HostOps> ops = CreateCpuOps({});
  const std::unique_ptr<WeightMatrix> matrix = *ops->LoadMatrix(TensorType::kQ8_0, outputs, inputs, file);
  const std::unique_ptr<Activations> in = Upload(*ops, x, inputs), out = ops->NewActivations(rows, outputs);
  ops->MatMul(rows, *in, *matrix, *out);
  EXPECT_EQ(Multiply(weights, Q8Rows(x, inputs), 0, rows), Download(*ops, *out, rows, outputs));
}

TEST(HostReferenceTest, OrdersForKernelsHoldTheSameWeights) {
  Random random(2);
  const Q8Matrix weights(random, 32, 96);
  const std::vector<int8_t> quants = weights.QuantsForRow();
  const std::vector<uint16_t> scales = weights.ScalesForRow();
  const std::vector<float> floats = weights.ScalesForRows();
  for (int output = 0; output < 32; ++output) {
    for (int k = 0; k < 96; ++k) {
      const int panel = output / 16, lane = output % 16;
      const int place = (((panel * 3 + k / 32) * 2 + k % 32 / 16) * 16 + lane) * 16 + k % 16;
      EXPECT_EQ(quants[place], weights.quants[output * 96 + k]);
      const uint16_t scale = weights.scales[output * 3 + k / 32];
      EXPECT_EQ(scales[(panel * 3 + k / 32) * 16 + lane], scale);
      EXPECT_EQ(floats[k / 32 * 32 + output], FromHalf(scale));
    }
  }
}

TEST(HostReferenceTest, AttentionIsThatOfTheBackend) {
  constexpr int kDim = 64, kRows = 75;
  Random random(3);
  const std::vector<float> query = RandomFloats(random, kDim, 2), keys = RandomFloats(random, kRows * kDim, 1),
                           values = RandomFloats(random, kRows * kDim, 1);
  const std::unique_ptr<HostOps> ops = CreateCpuOps({});
  const std::unique_ptr<PageMemory> pages = *ops->NewPages({1, 1, kDim, KvType::kF16}, 6);
  StepPlan plan;  // rows 40 to 74 are recent; of those before, the even ones were kept
  plan.tables = {{0, {0, 1, 2}, {3}}};
  std::vector<uint16_t> halves[2][2];  // [kept][key, value]: [row][dim]
  for (auto& list : halves) list[0].resize(3 * kPageRows * kDim), list[1] = list[0];
  for (int row = 0; row < kRows; ++row) {
    const bool kept = row < 40 && row % 2 == 0;
    plan.rows.push_back({.position = static_cast<uint32_t>(row), .kept_index = kept ? row / 2 : -1});
    for (int i = 0; i < kDim; ++i) {
      halves[0][0][row * kDim + i] = ToHalf(keys[row * kDim + i]);
      halves[0][1][row * kDim + i] = ToHalf(values[row * kDim + i]);
      if (!kept) continue;
      halves[1][0][row / 2 * kDim + i] = ToHalf(keys[row * kDim + i]);
      halves[1][1][row / 2 * kDim + i] = ToHalf(values[row * kDim + i]);
    }
  }
  ops->WriteKv(*ops->Begin(plan), 0, *Upload(*ops, keys, kDim), *Upload(*ops, values, kDim), *pages);
  plan.rows = {{.position = kRows - 1, .recent_begin = 40, .kept_end = 20}};
  const std::unique_ptr<Activations> out = ops->NewActivations(1, kDim);
  ops->Attention(*ops->Begin(plan), 0, 1, *Upload(*ops, query, kDim), *pages, *out);

  const size_t page = kPageRows * kDim;
  const std::vector<ReferencePage> seen = {{&halves[1][0][0], &halves[1][1][0], 0, 20},
                                           {&halves[0][0][page], &halves[0][1][page], 8, 32},
                                           {&halves[0][0][2 * page], &halves[0][1][2 * page], 0, 11}};
  EXPECT_EQ(Attend(query.data(), kDim, seen), Download(*ops, *out, 1, kDim));
}

TEST(HostReferenceTest, RotationIsThatOfTheBackend) {
  constexpr int kPairs = 32;
  Random random(4);
  const std::vector<uint32_t> positions = {0, 7, 131071};
  std::vector<float> x = RandomFloats(random, positions.size() * 2 * kPairs, 2);
  const RopeTables tables(positions, kPairs, 500000);
  const std::unique_ptr<HostOps> ops = CreateCpuOps({});
  const std::unique_ptr<Activations> turned = Upload(*ops, x, 2 * kPairs);
  const std::unique_ptr<WeightVector> frequencies = *ops->LoadVector(tables.frequencies);
  const Ops::Rotation rotation{.head_dim = 2 * kPairs, .inverse_frequencies = frequencies.get(), .magnitude = 1};
  ops->Rope(*ops->Begin(PlanOfPositions(positions)), 1, rotation, *turned);
  Rotate(tables, x);
  EXPECT_EQ(x, Download(*ops, *turned, static_cast<int>(positions.size()), 2 * kPairs));
}

}  // namespace
}  // namespace kedge::probe
