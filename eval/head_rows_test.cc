#include "eval/head_rows.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

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
  EXPECT_THAT(ChooseByHead(Pooled(scores), 7),
              ElementsAre(ElementsAre(1, 2, 8, 9, 10, 11, 12), ElementsAre(0, 1, 18, 19, 20, 21, 22)));
}

TEST(HeadRowsTest, HeadsOfALayerHaveTheSameChunks) {
  HeadScores scores(4, std::vector<uint64_t>(65));  // two layers of two heads; the last chunk has five rows
  scores[0][10] = 1000;
  scores[1][63] = 900;  // of a shorter chunk: a greater mean
  scores[2][45] = 1;
  const HeadRows rows = ChooseChunks(Pooled(scores), 2, 8);
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

TEST(HeadRowsTest, WhatFollowsTheScoredPositionsComesFirst) {
  const HeadScores scores = KeepingWhatFollows({{5, 9, 7}, {8, 1, 2}}, 5);
  EXPECT_THAT(ChooseByHead(scores, 3), ElementsAre(ElementsAre(1, 3, 4), ElementsAre(0, 3, 4)));
  EXPECT_THAT(ChooseByHead(KeepingWhatFollows(scores, 2), 1), ElementsAre(ElementsAre(1), ElementsAre(0)));
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

// What one plan tells of all rows from `begin` on: [layer][row][position], over both heads of a layer.
std::vector<std::vector<std::vector<uint32_t>>> MassesOf(const std::vector<uint32_t>& ids, uint32_t begin,
                                                         bool takes_most) {
  const uint32_t end = static_cast<uint32_t>(ids.size());
  HashDevice device({.num_pages = 700, .max_rows = end, .vocab_size = 40});
  PagePool pool(700);
  Sequence sequence({.ids = ids, .prompt_length = end + 1, .policy = kFullAttention}, pool.Reserve(600).value());
  StepPlan plan;
  sequence.Plan(end, WantedLogits::kNone, &plan);
  for (PlanRow& row : plan.rows) row.wants_mass = row.position >= begin;
  plan.mass_heads = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
  plan.mass_ends.emplace_back(begin);
  std::iota(plan.mass_ends[0].begin(), plan.mass_ends[0].end(), 1u);
  const auto step = device.Launch(std::move(plan));
  std::vector<std::vector<std::vector<uint32_t>>> masses(2);
  for (uint32_t layer = 0; layer < 2; ++layer) {
    for (uint32_t row = 0; row < end - begin; ++row) {
      std::vector<uint32_t>& own = masses[layer].emplace_back();
      for (uint32_t position = 0; position < begin; ++position) {
        const uint32_t a = step->Mass(row, 2 * layer)[position], b = step->Mass(row, 2 * layer + 1)[position];
        own.push_back(takes_most ? std::max(a, b) : a + b);
      }
    }
  }
  return masses;
}

TEST_F(HeadRowsOfAPromptTest, AttentionIsThatOfTheLatestRows) {
  const uint32_t begin = 60;
  const HeadScores scores = ObserveLatest(computed_[0], begin, /*num_heads=*/2, &pool_, &device_).value();
  ASSERT_EQ(scores.size(), 2u);
  const auto masses = MassesOf({prompt_.prompt.begin(), prompt_.prompt.end() - 1}, begin, /*takes_most=*/false);
  for (uint32_t layer = 0; layer < 2; ++layer) {
    for (uint32_t position = 0; position < begin; ++position) {
      uint64_t sum = 0;
      for (const std::vector<uint32_t>& row : masses[layer]) sum += row[position];
      ASSERT_EQ(scores[layer][position], sum) << layer << " " << position;
    }
  }
}

TEST(HeadRowsTest, WhatRepeatingLooksAtIsTheMostOfAllRowsThatRepeat) {
  // Of a prompt that is repeated in two parts, the second begun with the last of the first.
  HashDevice device({.num_pages = 700, .max_rows = 64, .vocab_size = 40});
  PagePool pool(700);
  Continuation prompt;
  for (uint32_t i = 0; i < 2101; ++i) prompt.prompt.push_back(i * i % 37);
  const uint32_t parts[] = {0, 2048, 2060};
  const std::vector<PrefixState> states =
      ComputePrefix(PromptContent(prompt, kFullAttention), {parts[2]}, {}, &device).value();
  std::vector<std::string> asked;
  const auto ids_of = [&](absl::string_view text) {
    asked.emplace_back(text);
    return std::vector<uint32_t>{static_cast<uint32_t>(38 + text.size() % 2), 39};
  };
  const HeadScores scores = ObserveRepetition(states[0], prompt.prompt, ids_of, 2, &pool, &device).value();
  EXPECT_THAT(asked, ElementsAre("\n\nRepeat the previous context exactly.", "\n\n",
                                 "\n\nRepeat the part of the previous context exactly, starting with ", "\n\n"));
  for (int part = 0; part < 2; ++part) {
    const uint32_t begin = parts[part], end = parts[part + 1];
    std::vector<uint32_t> ids(prompt.prompt.begin(), prompt.prompt.begin() + parts[2]);
    auto add = [&](const std::vector<uint32_t>& more) { ids.insert(ids.end(), more.begin(), more.end()); };
    add(ids_of(asked[2 * part]));
    if (begin > 0) add({prompt.prompt.begin() + begin - 8, prompt.prompt.begin() + begin});
    add(ids_of("\n\n"));
    add({prompt.prompt.begin() + begin, prompt.prompt.begin() + end});
    const auto masses = MassesOf(ids, parts[2], /*takes_most=*/true);
    for (uint32_t layer = 0; layer < 2; ++layer) {
      for (uint32_t position = begin; position < end; ++position) {
        uint32_t most = 0;
        for (const std::vector<uint32_t>& row : masses[layer]) most = std::max(most, row[position]);
        ASSERT_EQ(scores[layer][position], most) << part << " " << layer << " " << position;
      }
    }
  }
}

}  // namespace
}  // namespace kedge
