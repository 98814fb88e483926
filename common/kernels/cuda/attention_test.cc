// Attention in its two manners gives the bits of the CPU's plain code, and the 8 bits that belong to them.
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "common/kernels/cuda/fragments.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/step_for_test.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

std::vector<float> Expected(const TestStep& test) {
  StepOnCpu cpu(test);
  const int rows = static_cast<int>(test.plan.rows.size());
  const std::unique_ptr<Activations> out = cpu.ops->NewActivations(rows, test.shape.query_columns());
  cpu.ops->WriteKv(*cpu.step, kTestLayer, *cpu.keys, *cpu.values, *cpu.pages);
  cpu.ops->Attention(*cpu.step, kTestLayer, test.shape.heads, *cpu.queries, *cpu.pages, *out);
  return Download(*cpu.ops, *out, rows, test.shape.query_columns());
}

// Tiles of neighbours of one request, of any size.
std::vector<RowTile> RandomTiles(const StepPlan& plan, int num_rows, std::mt19937& random) {
  std::vector<RowTile> tiles;
  uint32_t most = 0;
  for (uint32_t r = 0; r < static_cast<uint32_t>(num_rows); ++r) {
    const bool is_same = r > 0 && r < plan.rows.size() && plan.rows[r].tables == plan.rows[r - 1].tables;
    if (!is_same || tiles.back().count == most) {
      tiles.push_back({r, 0});
      most = random() % 2 == 0 ? kTileRows : 1 + random() % kTileRows;
    }
    ++tiles.back().count;
  }
  return tiles;
}

enum class Manner { kSplit, kTiles };

// Of the whole step on the device, keys and values of this step first.
void ExpectBits(const TestStep& test, Manner manner, int padding, std::optional<uint64_t> seed, std::mt19937& random,
                const std::vector<float>& expected) {
  StepOnDevice on(test, padding, seed);
  Stream& stream = on.device.stream();
  ASSERT_TRUE(TurnAndWrite(stream, on.step, kTestLayer, test.shape.heads, /*pairs=*/0, on.queries, on.keys, nullptr,
                           on.values, on.pages)
                  .ok());
  const size_t operand_bytes = OperandBytes(on.step.num_rows, test.shape.query_columns());
  OperandRows out = {.floats = on.NewRows(test.shape.query_columns())};
  if (test.shape.query_columns() % 32 == 0) out.quantized = on.device.New<uint8_t>(operand_bytes);
  if (manner == Manner::kSplit) {
    float* scores = reinterpret_cast<float*>(
        on.device.New<uint8_t>(SplitScoresBytes(on.arrays.seen_pages(), test.shape.heads)));
    ASSERT_TRUE(AttendSplit(stream, on.device.properties(), on.step, kTestLayer, test.shape.heads,
                            on.arrays.most_pages(), on.queries, on.pages, scores, out)
                    .ok());
  } else {
    const std::vector<RowTile> tiles = RandomTiles(test.plan, on.step.num_rows, random);
    ASSERT_TRUE(AttendTiles(stream, on.step, kTestLayer, test.shape.heads, on.device.Upload(tiles),
                            static_cast<int>(tiles.size()), on.queries, on.pages, out)
                    .ok());
  }
  EXPECT_TRUE(SameNumbers(on.DownloadRows(out.floats), expected));
  if (out.quantized == nullptr) return;
  OperandRows again = {.floats = out.floats, .quantized = on.device.New<uint8_t>(operand_bytes)};
  ASSERT_TRUE(Quantize(stream, on.step.num_rows, again).ok());
  EXPECT_EQ(on.device.Download(out.quantized, operand_bytes), on.device.Download(again.quantized, operand_bytes));
}

// All widths; ratios and KV types take turns, and so do orders of the device.
std::vector<TestShape> Shapes() {
  constexpr std::pair<int, int> kHeads[] = {{1, 1}, {4, 2}, {3, 1}, {8, 2}, {5, 1}, {7, 1}, {8, 1}};
  std::vector<TestShape> shapes;
  for (const int head_dim : {8, 10, 12, 16, 24, 32, 64, 80, 96, 128, 256}) {
    for (int i = 0; i < 5; ++i) {
      const auto& [heads, kv_heads] = kHeads[shapes.size() % std::size(kHeads)];
      shapes.push_back({heads, kv_heads, head_dim, kKvTypes[shapes.size() % std::size(kKvTypes)]});
    }
  }
  shapes.push_back({20, 1, 16, KvType::kF16});  // more heads than a block takes
  return shapes;
}
constexpr std::optional<uint64_t> kSeeds[] = {std::nullopt, 1, 2};

TEST(Attention, FewRows) {
  uint32_t seed = 100;
  for (const TestShape& shape : Shapes()) {
    if (IsLeftOut(++seed)) continue;
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << shape);
    std::mt19937 random(seed);
    const TestStep test = RandomStep(shape, 4, 3, random);
    ExpectBits(test, Manner::kSplit, seed % 4, kSeeds[seed % 3], random, Expected(test));
  }
}

TEST(Attention, Tiles) {
  uint32_t seed = 300;
  for (const TestShape& shape : Shapes()) {
    if (IsLeftOut(++seed)) continue;
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << shape);
    std::mt19937 random(seed);
    const TestStep test = RandomStep(shape, 2, 20, random);
    ExpectBits(test, Manner::kTiles, seed % 4, kSeeds[seed % 3], random, Expected(test));
  }
}

// More pages than one window of weights, and more rows than fill the device.
TEST(Attention, ManyPagesAndManyRows) {
  for (const KvType type : kKvTypes) {
    SCOPED_TRACE(KvTypeName(type));
    std::mt19937 random(7);
    TestStep test = RandomStep({4, 1, 16, type}, 1, 1, random);
    StepPlan& plan = test.plan;
    plan.tables = {{.first_recent_page = 3}};
    test.earlier.clear();
    for (PageId page = 0; page < 20; ++page) {
      plan.tables[0].recent.push_back(page);
      plan.tables[0].kept.push_back(20 + page);
    }
    for (uint32_t i = 0; i < 20 * kPageRows; ++i) {
      for (PageId page : {0, 20}) test.earlier.push_back({page + i / kPageRows, i % kPageRows});
    }
    test.frame = RandomFrame(random, test.shape.row_shape(), test.earlier.size());
    plan.rows.clear();
    for (uint32_t i = 0; i < 18; ++i) {
      plan.rows.push_back({.position = 650 + i, .recent_begin = 96 + 17 * i, .kept_end = i < 9 ? 640 : i % 3 * 31});
    }
    test.queries = RandomFloats(random, plan.rows.size() * test.shape.query_columns());
    test.keys = RandomFloats(random, plan.rows.size() * test.shape.kv_columns());
    test.values = RandomFloats(random, plan.rows.size() * test.shape.kv_columns());
    const std::vector<float> expected = Expected(test);
    for (const Manner manner : {Manner::kSplit, Manner::kTiles}) ExpectBits(test, manner, 0, 1, random, expected);
  }
}

// Infinite queries, and scores that leave the range of exp, make what they make on the CPU, in their own row alone.
TEST(Attention, NoNumbers) {
  uint32_t seed = 500;
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(testing::Message() << "seed " << ++seed);
    std::mt19937 random(seed);
    TestStep test = RandomStep({4, 2, 32, i % 2 == 0 ? KvType::kF32 : KvType::kF16}, 2, 5, random);
    for (const float odd : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                            std::nanf(""), 1e30f, -1e30f, 3e38f}) {
      if (random() % 2 == 0) test.queries[random() % test.queries.size()] = odd;
    }
    for (float& value : test.values) {
      if (random() % 8 == 0) value = -1e-40f;  // products that are rounded to -0
    }
    const std::vector<float> expected = Expected(test);
    for (const Manner manner : {Manner::kSplit, Manner::kTiles}) {
      ExpectBits(test, manner, 0, kSeeds[i % 3], random, expected);
    }
  }
}

TEST(Attention, NothingOfNoRows) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(AttendSplit(device.stream(), device.properties(), {}, 0, 4, 1, {}, {.kv_heads = 2}, nullptr, {}).ok());
  EXPECT_TRUE(AttendTiles(device.stream(), {}, 0, 4, nullptr, 0, {}, {.kv_heads = 2}, {}).ok());
}

TEST(Attention, WiderHeadsThanATileTakes) {
  TestDevice device(std::nullopt);
  const absl::Status status = AttendTiles(device.stream(), {.num_rows = 1}, 0, 1, device.New<RowTile>(1), 1, {},
                                          {.kv_heads = 1, .head_dim = 258}, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "head_dim is 258; attention by tiles takes at most 256");
}

}  // namespace
}  // namespace kedge::cuda
