#include "common/kernels/cuda/step_arrays.h"

#include <vector>

#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

// Of `count` requests, which decode: request r has seen `seen` positions, and wants a token.
StepPlan DecodePlan(uint32_t count, uint32_t seen) {
  StepPlan plan;
  plan.choices.push_back({.temperature = 0});
  for (uint32_t r = 0; r < count; ++r) {
    PageTables& tables = plan.tables.emplace_back();
    for (uint32_t p = 0; p <= seen / kPageRows; ++p) tables.recent.push_back(100 * r + p);
    plan.rows.push_back({.token = r, .position = seen, .tables = r, .role = Role::kGenerated, .choice = 0});
  }
  return plan;
}

TEST(ShapeOf, RowsAndPagesAreRoundedUp) {
  EXPECT_EQ(ShapeOf(DecodePlan(1, 5), 256), (GraphShape{1, 1}));
  EXPECT_EQ(ShapeOf(DecodePlan(3, 32), 256), (GraphShape{4, 2}));
  EXPECT_EQ(ShapeOf(DecodePlan(9, 5 * 32), 256), (GraphShape{16, 8}));
  EXPECT_EQ(ShapeOf(DecodePlan(33, 5), 256), (GraphShape{48, 1}));
  EXPECT_EQ(ShapeOf(DecodePlan(256, 5), 256), (GraphShape{256, 1}));
  for (uint32_t rows = 1; rows <= 256; ++rows) {
    const int padding = ShapeOf(DecodePlan(rows, 5), 256)->rows - static_cast<int>(rows);
    EXPECT_GE(padding, 0);
    EXPECT_LE(padding, kMostPaddingRows);
  }
}

TEST(ShapeOf, OtherStepsHaveNone) {
  EXPECT_EQ(ShapeOf(DecodePlan(257, 5), 4096), std::nullopt);
  EXPECT_EQ(ShapeOf(DecodePlan(33, 5), 47), std::nullopt) << "there is no room for the padding";
  StepPlan plan = DecodePlan(2, 5);
  plan.rows[1].wants_mass = true;
  EXPECT_EQ(ShapeOf(plan, 256), std::nullopt);
  plan = DecodePlan(2, 5);
  plan.rows[1].choice = -1;
  plan.rows[1].wants_logits = true;
  EXPECT_EQ(ShapeOf(plan, 256), std::nullopt);
  plan = DecodePlan(2, 5);
  plan.rows[1].tables = 0;
  plan.rows[1].position = 6;
  EXPECT_EQ(ShapeOf(plan, 256), std::nullopt) << "rows of one request see each other";
}

// The arrays as kernels would read them.
struct Read {
  explicit Read(const StepArrays& arrays)
      : upload(arrays.upload_bytes()), results(arrays.result_bytes()), logits(1000) {
    arrays.Write(logits.data(), 10, upload.data());
    step = arrays.StepAt(upload.data(), nullptr, results.data(), nullptr);
  }
  PageId RecentPage(int row) const {
    return step.pages[static_cast<uint32_t>(step.rows[row].recent_pages + step.rows[row].position / kPageRows)];
  }
  std::vector<uint8_t> upload, results;
  std::vector<float> logits;
  Step step;
};

TEST(StepArrays, RowsFindTheirPages) {
  StepPlan plan;
  plan.tables.push_back({.first_recent_page = 7, .recent = {40, 41}, .kept = {50, 51}});
  plan.tables.push_back({.first_recent_page = 0, .recent = {60}, .kept = {}});
  plan.rows.push_back({.token = 3, .position = 8 * 32 + 1, .recent_begin = 7 * 32, .kept_end = 40, .kept_index = 40});
  plan.rows.push_back({.position = 4, .tables = 1, .wants_logits = true});
  const StepArrays arrays(plan, std::nullopt, 999);
  const Read read(arrays);
  EXPECT_EQ(read.step.num_rows, 2);
  EXPECT_EQ(read.RecentPage(0), 41u);
  EXPECT_EQ(read.step.pages[read.step.rows[0].kept_pages + 40 / kPageRows], 51u);
  EXPECT_EQ(read.step.rows[0].kept_index, 40);
  EXPECT_EQ(read.RecentPage(1), 60u);
  EXPECT_EQ(arrays.most_pages(), 4) << "two of K, two of R";
  EXPECT_EQ(arrays.num_outputs(), 1);
  EXPECT_EQ(*arrays.WantingAt(const_cast<uint8_t*>(read.upload.data())), 1u);
}

TEST(StepArrays, PaddingSeesItselfAlone) {
  const StepPlan plan = DecodePlan(3, 70);
  const StepArrays arrays(plan, ShapeOf(plan, 256), 999);
  const Read read(arrays);
  EXPECT_EQ(arrays.plan_rows(), 3);
  EXPECT_EQ(arrays.plan_outputs(), 3);
  EXPECT_EQ(arrays.num_rows(), 4);
  EXPECT_EQ(arrays.num_outputs(), 4);
  EXPECT_EQ(arrays.num_tiles(), 4);
  EXPECT_EQ(arrays.most_pages(), 4);
  EXPECT_EQ(read.RecentPage(2), 202u);
  EXPECT_EQ(read.RecentPage(3), 999u);
  EXPECT_EQ(read.step.rows[3].recent_begin, read.step.rows[3].position);
  EXPECT_EQ(read.step.rows[3].kept_end, 0u);
  EXPECT_EQ(read.step.rows[3].kept_index, -1);
}

TEST(StepArrays, RowsOfOneRequestGoInTiles) {
  StepPlan plan;
  plan.tables.resize(2);
  plan.tables[0].recent = {0, 1};
  plan.tables[1].recent = {2};
  for (uint32_t i = 0; i < 20; ++i) plan.rows.push_back({.position = i});
  plan.rows.push_back({.position = 0, .tables = 1});
  const StepArrays arrays(plan, std::nullopt, 999);
  Read read(arrays);
  ASSERT_EQ(arrays.num_tiles(), 3);
  const RowTile* const tiles = arrays.TilesAt(read.upload.data());
  EXPECT_EQ(tiles[0].count, kTileRows);
  EXPECT_EQ(tiles[1].begin, kTileRows);
  EXPECT_EQ(tiles[1].count, 4u);
  EXPECT_EQ(tiles[2].begin, 20u);
}

TEST(StepArrays, LogitsComeOnlyWhereTheHostMayNeedThem) {
  StepPlan plan = DecodePlan(3, 5);
  plan.choices.push_back({.temperature = 1});
  plan.rows[1].choice = 1;
  plan.rows[2].choice = -1;
  plan.rows[2].wants_logits = true;
  const StepArrays arrays(plan, std::nullopt, 999);
  Read read(arrays);
  EXPECT_EQ(arrays.NumHostLogits(), 2);
  const OutputWish* const wishes = arrays.WishesAt(read.upload.data());
  EXPECT_EQ(wishes[0].host_logits, nullptr);
  EXPECT_EQ(wishes[1].host_logits, read.logits.data() + 10 * arrays.HostLogitsOf(1));
  EXPECT_EQ(wishes[2].host_logits, read.logits.data() + 10 * arrays.HostLogitsOf(2));
  EXPECT_EQ(wishes[2].wants_logits, 1u);
}

TEST(StepArrays, MassIsAskedOfEachLayer) {
  StepPlan plan;
  plan.tables.resize(1);
  plan.tables[0].recent = {0, 1};
  for (uint32_t i = 0; i < 3; ++i) plan.rows.push_back({.position = 30 + i, .wants_mass = i != 1});
  plan.mass_heads = {{.layer = 2, .head = 5}, {.layer = 0, .head = 1}};
  plan.mass_ends = {{10, 31, 40, 50}};
  const StepArrays arrays(plan, std::nullopt, 999);
  Read read(arrays);
  EXPECT_EQ(arrays.NumMassQueries(0), 2);
  EXPECT_EQ(arrays.NumMassQueries(1), 0);
  EXPECT_EQ(arrays.NumMassQueries(2), 2);
  EXPECT_EQ(arrays.NumMassQueries(3), 0);
  const MassQuery* const queries = arrays.MassQueriesAt(read.upload.data(), 2);
  ASSERT_EQ(arrays.mass_places().size(), 4u);
  EXPECT_EQ(queries[0].row, 0u);
  EXPECT_EQ(queries[1].row, 2u);
  EXPECT_EQ(queries[0].head, 5u);
  // Row 0 is at 30, within the range that ends at 31; row 2 at 32, within the one after it.
  EXPECT_EQ(queries[0].num_ends, 2u);
  EXPECT_EQ(queries[1].num_ends, 3u);
  EXPECT_EQ(arrays.mass_places()[2].first, queries[1].first_mass);
  EXPECT_EQ(arrays.mass_places()[2].count, 3u);
  EXPECT_EQ(arrays.MassEndsAt(read.upload.data())[queries[1].first_end + 2], 40u);
}

}  // namespace
}  // namespace kedge::cuda
