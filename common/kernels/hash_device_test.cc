#include "common/kernels/hash_device.h"

#include <cstring>

#include "gtest/gtest.h"

namespace kedge {
namespace {

StepPlan OneRow(uint32_t token, uint32_t position, uint32_t recent_begin, std::vector<PageId> pages) {
  StepPlan plan;
  plan.tables.push_back({.first_recent_page = 0, .recent = std::move(pages)});
  plan.rows.push_back({.token = token, .position = position, .recent_begin = recent_begin, .wants_logits = true});
  return plan;
}

std::vector<float> LogitsOf(HashDevice& device, StepPlan plan) {
  std::unique_ptr<StepFuture> future = device.Launch(std::move(plan));
  EXPECT_TRUE(future->Wait().ok());
  const absl::Span<const float> logits = future->Logits(0);
  return {logits.begin(), logits.end()};
}

TEST(HashDeviceTest, LogitsDependOnWhatIsSeenAndNotOnWhereItLies) {
  HashDevice a({}), b({});
  LogitsOf(a, OneRow(5, 0, 0, {3}));
  LogitsOf(b, OneRow(5, 0, 0, {17}));
  EXPECT_EQ(LogitsOf(a, OneRow(6, 1, 0, {3})), LogitsOf(b, OneRow(6, 1, 0, {17})));
  EXPECT_NE(LogitsOf(a, OneRow(7, 2, 0, {3})), LogitsOf(b, OneRow(7, 2, 1, {17})));  // one row fewer seen
}

TEST(HashDeviceTest, StaleRowChangesTheLogits) {
  HashDevice a({}), b({});
  LogitsOf(a, OneRow(5, 0, 0, {0}));
  LogitsOf(b, OneRow(4, 0, 0, {0}));
  EXPECT_NE(LogitsOf(a, OneRow(6, 1, 0, {0})), LogitsOf(b, OneRow(6, 1, 0, {0})));
}

TEST(HashDeviceTest, RoleChangesTheLogitsUnlessRolesAgree) {
  HashDevice device({}), agrees({.roles_agree = true});
  StepPlan generated = OneRow(5, 0, 0, {0});
  generated.rows[0].role = Role::kGenerated;
  EXPECT_NE(LogitsOf(device, OneRow(5, 0, 0, {0})), LogitsOf(device, generated));
  EXPECT_EQ(LogitsOf(agrees, OneRow(5, 0, 0, {0})), LogitsOf(agrees, generated));
}

TEST(HashDeviceTest, CopiedRowsGoOnTheSame) {
  HashDevice a({}), b({});
  LogitsOf(a, OneRow(5, 0, 0, {0}));
  LogitsOf(a, OneRow(6, 1, 0, {0}));
  const RowBuffer rows = a.NewRowBuffer(2 * a.row_shape().row_bytes());
  ASSERT_TRUE(a.ReadRows({{0, 0}, {0, 1}}, rows)->Wait().ok());
  b.WriteRows({{9, 0}, {9, 1}}, rows.Share());
  EXPECT_EQ(LogitsOf(a, OneRow(7, 2, 0, {0})), LogitsOf(b, OneRow(7, 2, 0, {9})));
  EXPECT_EQ(b.torn_rows(), 0u);
}

TEST(HashDeviceTest, RowsMixedUpInAFrameShow) {
  HashDevice a({}), b({});
  LogitsOf(a, OneRow(5, 0, 0, {0}));
  LogitsOf(a, OneRow(6, 1, 0, {0}));
  const RowBuffer rows = a.NewRowBuffer(2 * a.row_shape().row_bytes());
  ASSERT_TRUE(a.ReadRows({{0, 0}, {0, 1}}, rows)->Wait().ok());
  std::swap_ranges(rows.bytes.begin(), rows.bytes.begin() + 8, rows.bytes.begin() + 8);
  b.WriteRows({{0, 0}, {0, 1}}, rows.Share());
  EXPECT_NE(LogitsOf(a, OneRow(7, 2, 0, {0})), LogitsOf(b, OneRow(7, 2, 0, {0})));
  EXPECT_EQ(b.torn_rows(), 2u);
}

}  // namespace
}  // namespace kedge
