#include "eval/head_rows.h"

#include <cstring>
#include <numeric>

#include "common/kernels/hash_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;

TEST(HeadRowsTest, EachHeadHasThePlacesRoundItsPeaks) {
  HeadScores scores(2, std::vector<uint64_t>(30));
  scores[0][10] = scores[1][20] = 100;
  scores[0][3] = 60;
  // A peak counts for the two positions on each side of it too; equal ones come in their order.
  EXPECT_THAT(ChooseByHead(scores, 7),
              ElementsAre(ElementsAre(1, 2, 8, 9, 10, 11, 12), ElementsAre(0, 1, 18, 19, 20, 21, 22)));
}

TEST(HeadRowsTest, HeadsOfALayerHaveTheSameChunks) {
  HeadScores scores(4, std::vector<uint64_t>(65));  // two layers of two heads; the last chunk has five rows
  scores[0][10] = 1000;
  scores[1][63] = 900;  // of a shorter chunk: a greater mean
  scores[2][45] = 1;
  const HeadRows rows = ChooseChunks(scores, 2, 8);
  EXPECT_THAT(rows[0], ElementsAre(0, 1, 2, 60, 61, 62, 63, 64));
  EXPECT_EQ(rows[1], rows[0]);
  EXPECT_THAT(rows[2], ElementsAre(40, 41, 42, 43, 44, 45, 46, 47));
  EXPECT_EQ(rows[3], rows[2]);
}

TEST(HeadRowsTest, RowsArePutTogetherFromTheHeadsOwn) {
  const RowShape shape{.layers = 2, .kv_heads = 1, .head_dim = 1, .type = KvType::kF32};
  std::vector<float> all, rows(4 * 3, -1);  // [layer][key, value][row][dim]
  for (int block = 0; block < 4; ++block) {
    for (int row = 0; row < 5; ++row) all.push_back(static_cast<float>(10 * block + row));
  }
  std::vector<uint8_t> from(all.size() * 4), to(rows.size() * 4);
  std::memcpy(from.data(), all.data(), from.size());
  std::memcpy(to.data(), rows.data(), to.size());
  PutHeadRows(shape, {{1, 4}, {0, 2}}, from, absl::MakeSpan(to));
  std::memcpy(rows.data(), to.data(), to.size());
  EXPECT_THAT(rows, ElementsAre(1, 4, -1, 11, 14, -1, 20, 22, -1, 30, 32, -1));
}

class HeadRowsOfAPromptTest : public testing::Test {
 protected:
  void SetUp() override {
    for (uint32_t i = 0; i < 101; ++i) prompt_.prompt.push_back(i * i % 37);
    computed_ = ComputePrompts(PrefixState(), {&prompt_}, {kFullAttention}, {}, &pool_, &device_).value();
  }

  // The logits of the prompt's last row, where `head_rows` are in the places of its kept ones.
  std::vector<float> LastLogits(std::shared_ptr<const HeadRows> head_rows) {
    const Policy streaming{.sinks = 4, .recent = 20, .prefill_full = true};
    std::unique_ptr<Sequence> sequence =
        TakeState(computed_[0], {.content = PromptContent(prompt_, streaming), .head_rows = std::move(head_rows)},
                  &pool_, &device_)
            .value();
    StepPlan plan;
    sequence->Plan(1, WantedLogits::kLast, &plan);
    const auto step = device_.Launch(std::move(plan));
    const absl::Span<const float> logits = step->Logits(0);
    return {logits.begin(), logits.end()};
  }

  HashDevice device_{{.num_pages = 100, .max_rows = 16, .vocab_size = 40}};
  PagePool pool_{100};
  Continuation prompt_;
  std::vector<ComputedPrompt> computed_;
};

TEST_F(HeadRowsOfAPromptTest, TheSameRowsForAllHeadsAreTheStatesOwn) {
  const std::vector<uint32_t> sinks = {0, 1, 2, 3}, others = {0, 1, 2, 50};
  EXPECT_EQ(LastLogits(std::make_shared<HeadRows>(HeadRows{sinks, sinks})), LastLogits(nullptr));
  EXPECT_NE(LastLogits(std::make_shared<HeadRows>(HeadRows{others, others})), LastLogits(nullptr));
  EXPECT_EQ(device_.torn_rows(), 0u);
  LastLogits(std::make_shared<HeadRows>(HeadRows{sinks, others}));
  EXPECT_EQ(device_.torn_rows(), 1u);  // the device finds layers of two tokens in one row
}

// What one plan with all heads and positions tells of the latest rows.
TEST_F(HeadRowsOfAPromptTest, AttentionIsThatOfTheLatestRows) {
  const uint32_t begin = 60, end = 100;
  const HeadScores scores = ObserveHeads(computed_[0], begin, /*num_heads=*/2, &pool_, &device_).value();
  ASSERT_EQ(scores.size(), 2u);
  HashDevice whole({.num_pages = 100, .max_rows = 200, .vocab_size = 40});
  PagePool pool(100);
  Content content = PromptContent(prompt_, kFullAttention);
  Sequence sequence(content, pool.Reserve(50).value());
  StepPlan plan;
  sequence.Plan(end, WantedLogits::kNone, &plan);
  for (PlanRow& row : plan.rows) row.wants_mass = row.position >= begin;
  plan.mass_heads = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
  plan.mass_ends.emplace_back(end);
  std::iota(plan.mass_ends[0].begin(), plan.mass_ends[0].end(), 1u);
  const auto step = whole.Launch(std::move(plan));
  for (uint32_t layer = 0; layer < 2; ++layer) {
    for (uint32_t position = 0; position < begin; ++position) {
      uint64_t sum = 0;
      for (uint32_t row = 0; row < end - begin; ++row) {
        sum += step->Mass(row, 2 * layer)[position] + step->Mass(row, 2 * layer + 1)[position];
      }
      ASSERT_EQ(scores[layer][position], sum) << layer << " " << position;
    }
  }
}

}  // namespace
}  // namespace kedge
