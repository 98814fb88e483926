#include "eval/calibrate.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "common/kernels/hash_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;
const std::vector<HeadRef> kHeads = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
const CalibrationHooks kNoHooks = {.cancelled = [] { return false; }, .progress = [](uint64_t, uint64_t) {}};

// 90 rows before the question of 20, in sequences of 10; two rows of a template and the last row.
CalibrationPrompt Prompt(uint32_t question, size_t fact) {
  CalibrationPrompt prompt{.form = "single"};
  for (uint32_t i = 0; i < 113; ++i) prompt.ids.push_back((i * i + (i < 90 ? 3 : question)) % kVocabulary);
  for (uint32_t begin = 0; begin < 90; begin += 10) prompt.sequences.push_back({begin, begin + 10});
  prompt.sequences.push_back({90, 110});
  prompt.sequences.push_back({110, 112});
  prompt.known = {.count = prompt.sequences.size(), .question = {9}, .facts = {fact}};
  for (size_t i = 1; i < 9; ++i) {
    if (i != fact) prompt.known.rivals.push_back(i);
  }
  return prompt;
}

// Tells attention by plan: head 0.1 looks from one row of the question at sequence 4, head 1.0 from the end at the
// question, and all the others at what stands before the question, everywhere alike.
class PlantedDevice : public HashDevice {
 public:
  explicit PlantedDevice(const HashDeviceOptions& options) : HashDevice(options) {}

  std::unique_ptr<StepFuture> Launch(StepPlan plan) override {
    auto future = std::make_unique<Future>();
    for (const PlanRow& row : plan.rows) {
      computed += 1;
      if (!row.wants_mass) continue;
      looked_at.push_back(row.position);
      EXPECT_EQ(row.recent_begin, 0u);  // full attention
      auto& heads = future->mass.emplace_back();
      for (const HeadRef& head : plan.mass_heads) {
        std::vector<uint32_t> mass(row.position + 1, 0);
        std::fill(mass.begin(), mass.begin() + 90, 1);
        if (head == HeadRef{0, 1} && row.position == 95) std::fill(mass.begin() + 40, mass.begin() + 50, 1000);
        if (head == HeadRef{1, 0} && row.position >= 110) std::fill(mass.begin() + 90, mass.begin() + 110, 1000);
        std::vector<uint32_t>& sums = heads.emplace_back();
        uint32_t begin = 0;
        for (uint32_t end : MassEnds(plan, row)) {
          const auto last = mass.begin() + std::min(end, row.position + 1);
          sums.push_back(std::accumulate(mass.begin() + begin, last, 0u));
          begin = end;
        }
      }
    }
    future->inner = HashDevice::Launch(std::move(plan));
    return future;
  }

  uint32_t computed = 0;
  std::vector<uint32_t> looked_at;

 private:
  struct Future : StepFuture {
    bool Ready() const override { return inner->Ready(); }
    absl::Status Wait() override { return inner->Wait(); }
    absl::Status CheckRows(size_t first, size_t count) const override { return inner->CheckRows(first, count); }
    std::optional<uint32_t> Token(size_t i) const override { return inner->Token(i); }
    absl::Span<const float> Logits(size_t i) const override { return inner->Logits(i); }
    absl::Span<const uint32_t> Mass(size_t i, size_t h) const override { return mass[i][h]; }
    std::unique_ptr<StepFuture> inner;
    std::vector<std::vector<std::vector<uint32_t>>> mass;
  };
};

TEST(CalibrateTest, FindsTheHeadsThatLookWhereTheyShould) {
  PlantedDevice device({.num_pages = 20, .max_rows = 16, .vocab_size = kVocabulary});
  const HeadRanking ranking =
      Calibrate({{.prompts = {Prompt(5, 4), Prompt(6, 4)}, .fork = 90}}, kHeads, kNoHooks, &device).value();
  EXPECT_EQ(ranking.retrieval[0].head, (HeadRef{0, 1}));
  EXPECT_DOUBLE_EQ(ranking.retrieval[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranking.retrieval[1].rank, 1.0 / 4);  // all alike: three rivals are earlier
  EXPECT_EQ(ranking.pointers[0].head, (HeadRef{1, 0}));
  EXPECT_DOUBLE_EQ(ranking.pointers[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranking.pointers[1].rank, 0);
  // Rows of questions and ends report, and nothing is computed twice or for nothing.
  EXPECT_EQ(device.looked_at.size(), 2u * 22);
  EXPECT_EQ(*std::min_element(device.looked_at.begin(), device.looked_at.end()), 90u);
  EXPECT_EQ(*std::max_element(device.looked_at.begin(), device.looked_at.end()), 111u);
  EXPECT_EQ(device.computed, 90u + 2 * 22);
  EXPECT_EQ(device.torn_rows(), 0u);
}

// Hashes: a row that saw anything else would give other mass.
TEST(CalibrateTest, PromptsThatShareABeginningGiveWhatTheyGiveAlone) {
  HashDevice device({.num_pages = 20, .max_rows = 16, .vocab_size = kVocabulary});
  const std::vector<CalibrationPrompt> prompts = {Prompt(5, 2), Prompt(6, 4), Prompt(7, 7)};
  const HeadRanking shared = Calibrate({{.prompts = prompts, .fork = 90}}, kHeads, kNoHooks, &device).value();
  std::vector<CalibrationText> alone;
  for (const CalibrationPrompt& prompt : prompts) alone.push_back({.prompts = {prompt}, .fork = 0});
  const HeadRanking each = Calibrate(alone, kHeads, kNoHooks, &device).value();
  for (size_t i = 0; i < kHeads.size(); ++i) {
    EXPECT_EQ(shared.retrieval[i].head, each.retrieval[i].head);
    EXPECT_DOUBLE_EQ(shared.retrieval[i].rank, each.retrieval[i].rank);
    EXPECT_EQ(shared.pointers[i].head, each.pointers[i].head);
    EXPECT_DOUBLE_EQ(shared.pointers[i].rank, each.pointers[i].rank);
  }
  EXPECT_NE(shared.retrieval.front().rank, shared.retrieval.back().rank);
}

TEST(CalibrateTest, TellsItsProgressAndStopsWhenAsked) {
  HashDevice device({.num_pages = 20, .max_rows = 16, .vocab_size = kVocabulary});
  std::vector<uint64_t> seen;
  CalibrationHooks hooks{.cancelled = [] { return false; },
                         .progress =
                             [&](uint64_t done, uint64_t all) {
                               EXPECT_EQ(all, 90u + 2 * 23);
                               seen.push_back(done);
                             }};
  const std::vector<CalibrationText> texts = {{.prompts = {Prompt(5, 4), Prompt(6, 4)}, .fork = 90}};
  ASSERT_TRUE(Calibrate(texts, kHeads, hooks, &device).ok());
  EXPECT_THAT(seen, testing::ElementsAre(0, 90, 113, 136));
  seen.clear();
  hooks.cancelled = [&] { return seen.size() == 2; };
  EXPECT_EQ(Calibrate(texts, kHeads, hooks, &device).status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(seen, testing::ElementsAre(0, 90));
}

TEST(CalibrateTest, TooFewPagesAreAnError) {
  HashDevice device({.num_pages = 2, .max_rows = 16, .vocab_size = kVocabulary});
  EXPECT_EQ(Calibrate({{.prompts = {Prompt(5, 4)}, .fork = 90}}, kHeads, kNoHooks, &device).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kedge
