// Attention that is told is, to the integer, what the CPU tells.
#include <algorithm>
#include <iterator>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/step_for_test.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

// Wanted of two heads, in some of the rows, over ranges of up to `most` rows that end inside of what is seen, or
// beyond.
void WantMass(int heads, uint32_t most, std::mt19937& random, StepPlan& plan) {
  for (const uint32_t head : {0, heads - 1}) plan.mass_heads.push_back({.layer = kTestLayer, .head = head});
  for (PlanRow& row : plan.rows) row.wants_mass = random() % 3 != 0;
  for (size_t stream = 0; stream < plan.tables.size(); ++stream) {
    std::vector<uint32_t>& ends = plan.mass_ends.emplace_back();
    const uint32_t last = static_cast<uint32_t>(random() % 400);
    for (uint32_t end = 0; end < last;) ends.push_back(end += 1 + random() % most);
  }
}

// The sums of all, one behind the other.
std::vector<uint32_t> Expected(const TestStep& test) {
  StepOnCpu cpu(test);
  cpu.ops->WriteKv(*cpu.step, kTestLayer, *cpu.keys, *cpu.values, *cpu.pages);
  cpu.ops->AttentionMass(*cpu.step, kTestLayer, test.shape.heads, *cpu.queries, *cpu.pages);
  const std::unique_ptr<PendingStep> done = cpu.ops->Finish(std::move(cpu.step));
  std::vector<uint32_t> sums;
  for (const absl::Span<const uint32_t> mass : done->outcome().mass) sums.insert(sums.end(), mass.begin(), mass.end());
  return sums;
}

std::vector<uint32_t> Actual(const TestStep& test, std::optional<uint64_t> seed, size_t size) {
  StepOnDevice on(test, 0, seed);
  EXPECT_TRUE(TurnAndWrite(on.device.stream(), on.step, kTestLayer, test.shape.heads, /*pairs=*/0, on.queries, on.keys,
                           nullptr, on.values, on.pages)
                  .ok());
  EXPECT_TRUE(GiveMass(on.device.stream(), on.step, kTestLayer, test.shape.heads,
                       on.arrays.MassQueriesAt(on.upload, kTestLayer), on.arrays.NumMassQueries(kTestLayer),
                       on.arrays.MassEndsAt(on.upload), on.queries, on.pages, on.mass)
                  .ok());
  return on.device.Download(on.mass, size);
}

constexpr std::optional<uint64_t> kSeeds[] = {std::nullopt, 1, 2};

TEST(AttentionMass, IsTheCpus) {
  uint32_t seed = 900;
  size_t told = 0;
  for (const int head_dim : {8, 10, 12, 16, 24, 32, 64, 80, 128, 256}) {
    for (const auto& [heads, kv_heads] :
         {std::pair(1, 1), std::pair(4, 2), std::pair(6, 2), std::pair(5, 1), std::pair(7, 1), std::pair(16, 1)}) {
      if (IsLeftOut(++seed)) continue;
      std::mt19937 random(seed);
      const TestShape shape = {heads, kv_heads, head_dim, kKvTypes[seed % std::size(kKvTypes)]};
      SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << shape);
      TestStep test = RandomStep(shape, 3, 6, random);
      WantMass(heads, seed % 2 == 0 ? 1 : 50, random, test.plan);
      const std::vector<uint32_t> expected = Expected(test);
      ASSERT_EQ(Actual(test, kSeeds[seed % 3], expected.size()), expected);
      told += std::count_if(expected.begin(), expected.end(), [](uint32_t mass) { return mass > 0; });
    }
  }
  EXPECT_GT(told, emulated::HasThreadSanitizer() ? 10u : 1000u);
}

// Only R is told, but K takes its share.
TEST(AttentionMass, ManyPages) {
  std::mt19937 random(5);
  TestStep test = RandomStep({2, 1, 8, KvType::kF16}, 1, 1, random);
  test.plan.tables = {{}};
  test.earlier.clear();
  for (PageId page = 0; page < 30; ++page) test.plan.tables[0].recent.push_back(page);
  for (PageId page = 30; page < kTestPages; ++page) test.plan.tables[0].kept.push_back(page);
  for (uint32_t i = 0; i < 299; ++i) test.earlier.push_back({30 + i / kPageRows, i % kPageRows});
  for (uint32_t i = 0; i < 955; ++i) test.earlier.push_back({i / kPageRows, i % kPageRows});
  test.frame = RandomFrame(random, test.shape.row_shape(), test.earlier.size());
  test.plan.rows = {{.position = 955, .recent_begin = 3, .kept_end = 299, .wants_mass = true}};
  test.plan.mass_heads = {{.layer = kTestLayer, .head = 1}};
  test.plan.mass_ends = {{1, 5, 40, 41, 700, 950}};
  const std::vector<uint32_t> expected = Expected(test);
  ASSERT_EQ(expected.size(), 6u);
  EXPECT_EQ(expected[0], 0u);
  for (const std::optional<uint64_t> seed : kSeeds) EXPECT_EQ(Actual(test, seed, expected.size()), expected);
}

TEST(AttentionMass, NothingOfNoQueries) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(GiveMass(device.stream(), {}, 0, 1, nullptr, 0, nullptr, {}, {}, nullptr).ok());
}

}  // namespace
}  // namespace kedge::cuda
