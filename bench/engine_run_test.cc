#include "bench/engine_run.h"

#include <algorithm>
#include <memory>

#include "common/kernels/choose_token.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;
const SalienceHeads kHeads = {.pointers = {{1, 0}}, .retrieval = {{0, 0}}};

EngineStream Stream(uint32_t prompt, uint32_t written, const Policy& policy, uint32_t seed = 1) {
  EngineStream stream;
  for (uint32_t i = 0; i < prompt; ++i) stream.prompt.ids.push_back((i * i + seed) % kVocabulary);
  stream.prompt.prompt_length = prompt;
  stream.prompt.policy = policy;
  for (uint32_t i = 0; i < written; ++i) stream.written.push_back((7 * i + seed) % kVocabulary);
  return stream;
}

// Counts rows and steps of what goes through.
class CountingDevice : public HashDevice {
 public:
  CountingDevice() : HashDevice({.num_pages = 200, .max_rows = 16, .vocab_size = kVocabulary}) {}
  std::unique_ptr<StepFuture> Launch(StepPlan plan) override {
    rows += plan.rows.size();
    logits += std::count_if(plan.rows.begin(), plan.rows.end(), [](const PlanRow& row) { return row.has_output(); });
    return HashDevice::Launch(std::move(plan));
  }
  uint64_t rows = 0, logits = 0;
};

TEST(EngineRunTest, UnderFullAttentionEveryRowIsShown) {
  CountingDevice device;
  const auto run = RunEngine({Stream(50, 4, {.recent = Policy::kAll})}, {}, std::nullopt, &device);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->decode_steps, 4u);
  EXPECT_EQ(run->decode_rows, 4u);
  EXPECT_EQ(run->visible_rows, 51u + 52 + 53 + 54);
  EXPECT_EQ(run->held_pages, 2u);  // of 50 rows
  EXPECT_EQ(device.rows, 54u);
  EXPECT_EQ(device.logits, 5u);  // the prompt's last row, and each written one
  EXPECT_GT(run->prompt_time, absl::ZeroDuration());
  EXPECT_GT(run->decode_time, absl::ZeroDuration());
  EXPECT_GT(run->decode_idle, absl::ZeroDuration());
  EXPECT_LT(run->decode_idle, run->decode_time);
  EXPECT_EQ(device.torn_rows(), 0u);
}

TEST(EngineRunTest, AWindowShowsSinksAndRecentRows) {
  CountingDevice device;
  const auto run = RunEngine({Stream(100, 3, {.sinks = 4, .recent = 10})}, {}, std::nullopt, &device);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->visible_rows, 3u * 14);
  EXPECT_EQ(run->held_pages, 1u + 2);  // of the sinks, and of rows 64..99, the last ten of which are in sight
}

TEST(EngineRunTest, StreamsShareSteps) {
  CountingDevice device;
  const Policy policy{.recent = Policy::kAll};
  const std::vector<EngineStream> streams = {Stream(20, 5, policy, 1), Stream(30, 5, policy, 2)};
  const auto run = RunEngine(streams, {}, std::nullopt, &device);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->decode_steps, 5u);
  EXPECT_EQ(run->decode_rows, 10u);
  EXPECT_EQ(run->held_pages, 1u + 1);
  EXPECT_EQ(device.rows, 60u);
}

TEST(EngineRunTest, APolicyThatChoosesReadsThePromptInFull) {
  CountingDevice device;
  const Policy policy{.anchors = {2, 10},
                      .keep_anchors = false,
                      .sinks = 4,
                      .recent = 8,
                      .view = Policy::View::kAll,
                      .prefill_full = true,
                      .salient_millionths = 200000,
                      .write_full = true};
  const auto run = RunEngine({Stream(300, 2, policy)}, kHeads, std::nullopt, &device);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_LT(run->visible_rows, 2u * 150);
  EXPECT_LT(run->held_pages * kPageRows, 200u);
  EXPECT_EQ(device.rows, 302u);
  EXPECT_FALSE(
      RunEngine({Stream(150, 2, policy)}, {}, std::nullopt, &device).ok());  // without heads nothing can be chosen
}

// Keeps the logits of the latest step.
class LogitsDevice : public CountingDevice {
 public:
  std::unique_ptr<StepFuture> Launch(StepPlan plan) override {
    const size_t before = logits;
    auto step = CountingDevice::Launch(std::move(plan));
    latest.clear();
    for (size_t i = 0; i < logits - before; ++i) {
      latest.emplace_back(step->Logits(i).begin(), step->Logits(i).end());
    }
    return step;
  }
  std::vector<std::vector<float>> latest;
};

TEST(EngineRunTest, ATokenIsChosenBehindEachRowAndTheTextStaysGiven) {
  LogitsDevice device;
  const Policy policy{.recent = Policy::kAll};
  const std::vector<EngineStream> streams = {Stream(20, 3, policy, 1), Stream(30, 3, policy, 2)};
  const auto plain = RunEngine(streams, {}, std::nullopt, &device);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_TRUE(plain->chosen.empty());
  const std::vector<std::vector<float>> logits = device.latest;
  const auto run = RunEngine(streams, {}, TokenChoice{.seed = 9}, &device);
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->chosen.size(), 6u);
  EXPECT_EQ(device.latest, logits);
  EXPECT_EQ(run->chosen[4], ChooseToken(logits[0], {.seed = 9, .completion = 0, .position = 2}));
  EXPECT_EQ(run->chosen[5], ChooseToken(logits[1], {.seed = 9, .completion = 1, .position = 2}));
}

// Whether steps run ahead changes nothing of what is computed, nor of how many pages that takes.
TEST(EngineRunTest, StepsRunAheadOfThoseThatWereWaitedFor) {
  for (const bool prefill_full : {true, false}) {
    Policy policy{.anchors = {2, 10}, .sinks = 4, .recent = 8, .view = Policy::View::kAll};
    policy.prefill_full = prefill_full;
    const std::vector<EngineStream> streams = {Stream(100, 6, policy, 1), Stream(90, 6, policy, 2)};
    std::vector<EngineRun> runs;
    for (const bool deferred : {false, true}) {
      auto hash = std::make_unique<HashDevice>(
          HashDeviceOptions{.num_pages = 200, .max_rows = 16, .vocab_size = kVocabulary, .undecided = 5});
      HashDevice* const inner = hash.get();
      std::unique_ptr<StepDevice> device = std::move(hash);
      if (deferred) device = std::make_unique<DeferredDevice>(std::move(device));
      const auto run = RunEngine(streams, {}, TokenChoice{.seed = 3}, device.get());
      ASSERT_TRUE(run.ok()) << run.status();
      EXPECT_EQ(inner->torn_rows(), 0u);
      runs.push_back(*run);
    }
    EXPECT_EQ(runs[0].chosen.size(), 12u);
    EXPECT_EQ(runs[0].chosen, runs[1].chosen);
    EXPECT_EQ(runs[0].visible_rows, runs[1].visible_rows);
    EXPECT_EQ(runs[0].held_pages, runs[1].held_pages);
  }
}

TEST(EngineRunTest, TooFewPagesAreAnAnswer) {
  CountingDevice device;
  const auto run = RunEngine({Stream(200 * kPageRows, 1, {.recent = Policy::kAll})}, {}, std::nullopt, &device);
  EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(EngineRunTest, NothingToWriteIsAPromptAlone) {
  CountingDevice device;
  const auto run = RunEngine({Stream(33, 0, {.recent = Policy::kAll})}, {}, std::nullopt, &device);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->decode_steps, 0u);
  EXPECT_EQ(device.rows, 33u);
}

}  // namespace
}  // namespace kedge
