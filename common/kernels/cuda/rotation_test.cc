// Turns, turned rows and what is written to pages have the CPU's bits, and faults are told as it tells them.
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/step_for_test.h"
#include "common/kernels/elementary.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

constexpr std::optional<uint64_t> kSeeds[] = {std::nullopt, 1, 2};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> Frequencies(int pairs) {
  std::vector<float> frequencies(pairs);
  for (int i = 0; i < pairs; ++i) frequencies[i] = std::pow(10000.0f, -static_cast<float>(i) / pairs);
  return frequencies;
}

TEST(Rotation, TurnsOfManyFrequencies) {
  if (emulated::HasThreadSanitizer()) GTEST_SKIP() << "more threads than TSan makes in a minute";
  std::vector<StepRow> rows;
  std::mt19937 random(1);
  for (uint32_t position = 0; position <= 1 << 20; position += position < 1000 ? 1 : random() % 500) {
    rows.push_back({.position = position});
  }
  rows.push_back({.position = 1 << 20});
  const std::vector<float> frequencies = {1, 0.5f, 0.749894209f, 1e-2f, 3.1622776e-4f, 1e-7f};
  const size_t pairs = frequencies.size();
  for (const float magnitude : {1.0f, 1.36931455f}) {
    TestDevice device(std::nullopt);
    const Step step = {.num_rows = static_cast<int>(rows.size()),
                       .rows = device.Upload(rows),
                       .turns = device.New<float>(rows.size() * pairs * 2)};
    ASSERT_TRUE(MakeTurns(device.stream(), step,
                          {.inverse_frequencies = device.Upload(frequencies),
                           .pairs = static_cast<int>(pairs),
                           .magnitude = magnitude})
                    .ok());
    const std::vector<float> turns = device.Download(step.turns, rows.size() * pairs * 2);
    for (size_t i = 0; i < rows.size() * pairs; ++i) {
      const SinCos turn = SinCosDouble(static_cast<double>(rows[i / pairs].position) * frequencies[i % pairs]);
      const float expected[2] = {static_cast<float>(turn.cos * magnitude), static_cast<float>(turn.sin * magnitude)};
      ASSERT_EQ(std::memcmp(&turns[2 * i], expected, sizeof(expected)), 0) << i;
    }
  }
}

TEST(Rotation, TurnsOfAllPositions) {
  if (emulated::HasThreadSanitizer()) GTEST_SKIP() << "more threads than TSan makes in a minute";
  std::vector<StepRow> rows(1 << 20);
  for (uint32_t position = 0; position < rows.size(); ++position) rows[position].position = position;
  const float frequency = 0.749894209f;
  TestDevice device(std::nullopt);
  const Step step = {.num_rows = static_cast<int>(rows.size()),
                     .rows = device.Upload(rows),
                     .turns = device.New<float>(rows.size() * 2)};
  const float* frequencies = device.Upload(std::vector<float>{frequency});
  ASSERT_TRUE(MakeTurns(device.stream(), step, {.inverse_frequencies = frequencies, .pairs = 1}).ok());
  const std::vector<float> turns = device.Download(step.turns, rows.size() * 2);
  for (size_t position = 0; position < rows.size(); ++position) {
    const SinCos turn = SinCosDouble(static_cast<double>(position) * frequency);
    const float expected[2] = {static_cast<float>(turn.cos), static_cast<float>(turn.sin)};
    ASSERT_EQ(std::memcmp(&turns[2 * position], expected, sizeof(expected)), 0) << position;
  }
}

// What TurnAndWrite changes; faults as Step has them.
struct Written {
  std::vector<float> queries, keys;
  std::vector<uint8_t> frame;
  std::vector<uint32_t> faults;
};

constexpr int kLayersInTurn[] = {1, 0};  // the least one of a fault is not the first

// shift: of keys; empty: none.
Written OnCpu(const TestStep& test, const std::vector<float>& frequencies, float magnitude,
              const std::vector<float>& shift) {
  StepOnCpu cpu(test);
  const std::unique_ptr<WeightVector> vector = *cpu.ops->LoadVector(frequencies);
  const std::unique_ptr<WeightVector> key_shift = shift.empty() ? nullptr : *cpu.ops->LoadVector(shift);
  const Ops::Rotation rotation = {test.shape.head_dim, vector.get(), magnitude};
  for (const int layer : kLayersInTurn) {
    cpu.ops->RopeAndWriteKv(*cpu.step, layer, test.shape.heads, test.shape.kv_heads, rotation, *cpu.queries, *cpu.keys,
                            key_shift.get(), *cpu.values, *cpu.pages);
  }
  const int rows = static_cast<int>(test.plan.rows.size());
  Written out = {.queries = Download(*cpu.ops, *cpu.queries, rows, test.shape.query_columns()),
                 .keys = Download(*cpu.ops, *cpu.keys, rows, test.shape.kv_columns()),
                 .frame = cpu.Frame(test.shape.row_shape()),
                 .faults = std::vector<uint32_t>(rows, kNoFault)};
  const std::unique_ptr<PendingStep> done = cpu.ops->Finish(std::move(cpu.step));
  for (const KvFault& fault : done->outcome().faults) {
    const uint32_t code = 2 * static_cast<uint32_t>(fault.layer) + (fault.overflowed ? 1 : 0);
    out.faults[fault.row] = std::min(out.faults[fault.row], code);
  }
  return out;
}

Written OnDevice(const TestStep& test, const std::vector<float>& frequencies, float magnitude,
                 const std::vector<float>& shift, int padding, std::optional<uint64_t> seed) {
  StepOnDevice on(test, padding, seed);
  const int pairs = static_cast<int>(frequencies.size());
  on.step.turns = on.device.New<float>(size_t(on.step.num_rows) * pairs * 2);
  EXPECT_TRUE(MakeTurns(on.device.stream(), on.step,
                        {.inverse_frequencies = on.device.Upload(frequencies), .pairs = pairs, .magnitude = magnitude})
                  .ok());
  const float* key_shift = shift.empty() ? nullptr : on.device.Upload(shift);
  for (const int layer : kLayersInTurn) {
    EXPECT_TRUE(TurnAndWrite(on.device.stream(), on.step, layer, test.shape.heads, pairs, on.queries, on.keys,
                             key_shift, on.values, on.pages)
                    .ok());
  }
  return {.queries = on.DownloadRows(on.queries),
          .keys = on.DownloadRows(on.keys),
          .frame = on.Frame(test.shape.row_shape()),
          .faults = on.device.Download(on.step.faults, test.plan.rows.size())};
}

TEST(Rotation, TurnedRowsGoToTheirPages) {
  uint32_t seed = 700;
  for (const int head_dim : {8, 10, 12, 16, 24, 32, 64, 80, 128}) {
    for (const auto& [heads, kv_heads] :
         {std::pair(1, 1), std::pair(4, 2), std::pair(6, 2), std::pair(5, 1), std::pair(14, 2), std::pair(8, 1)}) {
      if (IsLeftOut(++seed)) continue;
      std::mt19937 random(seed);
      const TestShape shape = {heads, kv_heads, head_dim, kKvTypes[seed % std::size(kKvTypes)]};
      SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << shape);
      const TestStep test = RandomStep(shape, 3, 8, random);
      const std::vector<float> frequencies =
          Frequencies(seed % 2 == 0 ? head_dim / 2 : 1 + static_cast<int>(random() % (head_dim / 2)));
      const float magnitude = seed % 4 == 0 ? 1.2f : 1.0f;
      const std::vector<float> shift = RandomFloats(random, seed % 3 == 0 ? shape.kv_columns() : 0);
      const Written expected = OnCpu(test, frequencies, magnitude, shift);
      const Written actual = OnDevice(test, frequencies, magnitude, shift, seed % 5, kSeeds[seed % 3]);
      ASSERT_TRUE(SameNumbers(actual.queries, expected.queries));
      ASSERT_TRUE(SameNumbers(actual.keys, expected.keys));
      ASSERT_EQ(actual.frame, expected.frame);
      ASSERT_EQ(actual.faults, expected.faults);
    }
  }
}

// Infinities, NaN, and numbers that are too large for the type, in any head of keys and values, or in queries, where
// they are no fault.
TEST(Rotation, Faults) {
  for (const KvType type : kKvTypes) {
    SCOPED_TRACE(KvTypeName(type));
    std::mt19937 random(3);
    TestStep test = RandomStep({4, 2, 16, type}, 1, 1, random);
    const float too_large = type == KvType::kF16  ? 65520.0f
                            : HasScales(type) ? RoundingSteps(type, KvPart::kKey) * 65540.0f
                                                  : std::numeric_limits<float>::max();
    const float fits = type == KvType::kF16    ? 65519.0f
                       : type == KvType::kBF16 ? 3.38e38f
                       : HasScales(type)       ? RoundingSteps(type, KvPart::kValue) * 65504.0f
                                               : too_large;
    test.plan.rows.clear();
    test.plan.tables = {{.recent = {1}, .kept = {2}}};
    const int columns = test.shape.kv_columns();
    const auto add = [&](std::vector<std::pair<int, float>> odd_keys, std::vector<std::pair<int, float>> odd_values) {
      const uint32_t row = static_cast<uint32_t>(test.plan.rows.size());
      test.plan.rows.push_back({.position = row, .recent_begin = row, .kept_index = static_cast<int32_t>(row)});
      test.keys.resize((row + 1) * columns, 1);
      test.values.resize((row + 1) * columns, 1);
      for (const auto& [column, value] : odd_keys) test.keys[row * columns + column] = value;
      for (const auto& [column, value] : odd_values) test.values[row * columns + column] = value;
    };
    test.keys.clear();
    test.values.clear();
    add({}, {});
    add({{31, too_large}}, {});
    add({}, {{0, -too_large}});
    add({}, {{17, fits}});
    add({{20, kInfinity}}, {});
    add({}, {{16, std::nanf("")}});
    add({{15, too_large}}, {{16, -kInfinity}});  // one of them was none before
    add({}, {});
    const size_t rows = test.plan.rows.size();
    test.queries = std::vector<float>(rows * test.shape.query_columns(), kInfinity);
    const std::vector<float> frequencies = Frequencies(4);  // the latter half of a head stays
    const Written expected = OnCpu(test, frequencies, 1, {});
    for (const std::optional<uint64_t> seed : kSeeds) {
      EXPECT_EQ(OnDevice(test, frequencies, 1, {}, 0, seed).faults, expected.faults);
    }
    const uint32_t overflow = type == KvType::kF32 ? kNoFault : 1;
    EXPECT_EQ(expected.faults, std::vector<uint32_t>({kNoFault, overflow, overflow, kNoFault, 0, 0, 0, kNoFault}));
  }
}

TEST(Rotation, NothingOfNoRows) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(MakeTurns(device.stream(), {}, {.pairs = 4}).ok());
  EXPECT_TRUE(TurnAndWrite(device.stream(), {}, 0, 1, 4, {}, {}, nullptr, {}, {}).ok());
}

}  // namespace
}  // namespace kedge::cuda
