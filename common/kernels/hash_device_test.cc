#include "common/kernels/hash_device.h"

#include <cstring>

#include "common/kernels/choose_token.h"
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

TEST(HashDeviceTest, RowsThatWantTokensGetThemUnlessTheyAreLeftUndecided) {
  HashDevice device({}), undecided({.undecided = 2});
  for (uint32_t token = 0; token < 6; ++token) {
    StepPlan plan = OneRow(token, 0, 0, {0});
    const std::vector<float> logits = LogitsOf(device, plan);
    plan.rows[0].wants_logits = false;
    plan.rows[0].choice = 0;
    plan.choices = {{.temperature = 1, .seed = token}};
    const uint32_t expected = ChooseToken(logits, plan.choices[0]);
    EXPECT_EQ(device.Launch(plan)->Token(0), expected);
    const auto step = undecided.Launch(plan);
    EXPECT_EQ(step->Token(0), token % 2 ? std::nullopt : std::optional(expected));
    EXPECT_EQ(ChooseToken(step->Logits(0), plan.choices[0]), expected);
  }
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
