// The oracle against numbers worked out by hand.
#include "common/kernels/reference/reference_ops.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "common/kernels/number_format.h"
#include "common/kernels/testing.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr double kPi = 3.14159265358979323846;

absl::Span<const uint8_t> Bytes(const std::vector<float>& values) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float));
}

class ReferenceOpsTest : public testing::Test {
 protected:
  std::unique_ptr<Activations> Upload(const std::vector<float>& values, int columns) {
    return kedge::Upload(*ops_, values, columns);
  }

  void Expect(const Activations& x, int columns, const std::vector<float>& expected) {
    std::vector<float> actual(expected.size());
    ops_->CopyToHost(static_cast<int>(expected.size()) / columns, x, absl::MakeSpan(actual));
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-6) << i;
  }

  const std::unique_ptr<HostOps> ops_ = CreateReferenceOps();
};

TEST_F(ReferenceOpsTest, MatMulIsRowsTimesColumns) {
  const auto x = Upload({1, 2, 3, -1, 0, 4}, 3);
  const std::vector<float> weights = {1, 0, 0, 1, 1, 1};
  const auto matrix = *ops_->LoadMatrix(TensorType::kF32, 2, 3, Bytes(weights));
  const auto out = ops_->NewActivations(2, 2);
  ops_->MatMul(2, *x, *matrix, *out);
  Expect(*out, 2, {1, 6, -1, 3});
}

TEST_F(ReferenceOpsTest, RmsNormDividesByTheRoot) {
  const auto x = Upload({3, 4, 0, 0}, 4);
  const auto out = ops_->NewActivations(1, 4);
  ops_->RmsNorm(1, *x, **ops_->LoadVector({1, 2, 1, 1}), 0.0f, *out);  // root of 25 / 4
  Expect(*out, 4, {1.2f, 3.2f, 0, 0});
  ops_->RmsNorm(1, *x, **ops_->LoadVector({1, 2, 1, 1}), 93.75f, *out);  // root of 100
  Expect(*out, 4, {0.3f, 0.8f, 0, 0});
}

// Position 3 by a sixth of pi is a quarter turn; the pair beyond the frequencies stays; each head turns alike.
TEST_F(ReferenceOpsTest, RopeTurnsNeighbouringPairs) {
  const auto x = Upload({1, 2, 7, 8, 3, 4, 7, 8}, 8);
  const StepPlan plan = PlanOfPositions({3});
  const auto frequencies = *ops_->LoadVector({static_cast<float>(kPi / 6)});
  ops_->Rope(*ops_->Begin(plan), 2, {4, frequencies.get(), 1}, *x);
  Expect(*x, 8, {-2, 1, 7, 8, -4, 3, 7, 8});
  ops_->Rope(*ops_->Begin(plan), 2, {4, frequencies.get(), 1.5f}, *x);
  Expect(*x, 8, {-1.5f, -3, 7, 8, -4.5f, -6, 7, 8});
}

TEST_F(ReferenceOpsTest, RmsNormHeadsDividesEachHeadByItsRoot) {
  const auto x = Upload({3, 4, 0, 0, 6, 8, 0, 0}, 8);
  ops_->RmsNormHeads(1, 2, **ops_->LoadVector({1, 2, 1, 1}), 0.0f, *x);  // roots of 25 / 4 and of 25
  Expect(*x, 8, {1.2f, 3.2f, 0, 0, 1.2f, 3.2f, 0, 0});
}

TEST_F(ReferenceOpsTest, AddSwiGluAndGather) {
  const auto x = Upload({0, 1, -2, 3}, 2);
  const auto up = Upload({5, 2, 1, 1}, 2);
  ops_->SwiGlu(2, *up, *x);
  const auto silu = [](double v) { return static_cast<float>(v / (1 + std::exp(-v))); };
  Expect(*x, 2, {0, 2 * silu(1), silu(-2), silu(3)});
  ops_->Add(2, *up, *x);
  Expect(*x, 2, {5, 2 + 2 * silu(1), 1 + silu(-2), 1 + silu(3)});
  ops_->AddVector(2, **ops_->LoadVector({10, 20}), *x);
  Expect(*x, 2, {15, 22 + 2 * silu(1), 11 + silu(-2), 21 + silu(3)});
  const auto out = ops_->NewActivations(2, 2);
  ops_->Gather(*ops_->Begin(PlanOfWanting(2, {1})), 0, 1, *up, *out);
  Expect(*out, 2, {1, 1});
}

// One KV head, two query heads, head_dim 8. Row 33 sees K[0] and R[33]; what its pages hold beside is NaN.
TEST_F(ReferenceOpsTest, AttentionSeesExactlyTheSpans) {
  const RowShape shape{1, 1, 8, KvType::kF32};
  const auto pages = *ops_->NewPages(shape, 3);
  std::vector<RowRef> everywhere;
  for (uint32_t i = 0; i < 3 * kPageRows; ++i) everywhere.push_back({i / kPageRows, i % kPageRows});
  ops_->StoreRows(*pages, everywhere, std::vector<uint8_t>(everywhere.size() * shape.row_bytes(), 0xff));

  StepPlan first;  // position 5, written to R (page 1) and K (page 0)
  first.tables = {{.first_recent_page = 0, .recent = {1}, .kept = {0}}};
  first.rows = {{.position = 5, .recent_begin = 5, .kept_index = 0}};
  std::vector<float> key(8), value(8);
  key[0] = 4;
  value[0] = 10;
  value[1] = 1;
  ops_->WriteKv(*ops_->Begin(first), 0, *Upload(key, 8), *Upload(value, 8), *pages);

  StepPlan second;
  second.tables = {{.first_recent_page = 1, .recent = {2}, .kept = {0}}};
  second.rows = {{.position = 33, .recent_begin = 33, .kept_end = 1}};
  key[0] = 0;
  value[0] = 20;
  ops_->WriteKv(*ops_->Begin(second), 0, *Upload(key, 8), *Upload(value, 8), *pages);
  std::vector<float> queries(16);
  queries[0] = 0;                                                       // head 0: equal scores
  queries[8] = static_cast<float>(std::log(3.0) * std::sqrt(8.0) / 4);  // head 1: K[0] weighs three times as much
  const auto out = ops_->NewActivations(1, 16);
  ops_->Attention(*ops_->Begin(second), 0, 2, *Upload(queries, 16), *pages, *out);
  Expect(*out, 16, {15, 1, 0, 0, 0, 0, 0, 0, 12.5, 1, 0, 0, 0, 0, 0, 0});

  second.rows[0].kept_end = 0;
  ops_->Attention(*ops_->Begin(second), 0, 2, *Upload(queries, 16), *pages, *out);
  Expect(*out, 16, {20, 1, 0, 0, 0, 0, 0, 0, 20, 1, 0, 0, 0, 0, 0, 0});
}

// 1 + 2^-11 is halfway between two halves, 1 + 2^-8 between two bfloat16: both round to 1. 127 steps of the least half
// above 1 / 127 are more.
TEST_F(ReferenceOpsTest, KeysAndValuesAreRoundedToTheKvType) {
  for (KvType type : kKvTypes) {
    const RowShape shape{1, 1, 8, type};
    const auto pages = *ops_->NewPages(shape, 1);
    StepPlan plan;
    plan.tables = {{.recent = {0}}};
    plan.rows = {{}};
    const float value = type == KvType::kBF16 ? 1 + 0x1p-8f : 1 + 0x1p-11f;
    ops_->WriteKv(*ops_->Begin(plan), 0, *Upload(std::vector<float>(8), 8), *Upload(std::vector<float>(8, value), 8),
                  *pages);
    const auto out = ops_->NewActivations(1, 8);
    ops_->Attention(*ops_->Begin(plan), 0, 1, *Upload(std::vector<float>(8), 8), *pages, *out);
    std::vector<float> result(8);
    ops_->CopyToHost(1, *out, absl::MakeSpan(result));
    const float expected = type == KvType::kF32    ? value
                           : type == KvType::kQ8   ? 127 * FromHalf(0x2009)
                           : type == KvType::kK6V4 ? 7 * FromHalf(0x3093)
                                                   : 1;
    EXPECT_EQ(result[0], expected) << KvTypeName(type);
  }
}

}  // namespace
}  // namespace kedge
