// whole = steps = split, to the bit, over random policies, texts, chunk edges and split points. HashDevice makes this
// a statement about rows (which, where, when freed); tests/equality_test.cc repeats it on real arithmetic.
#include "common/engine/score.h"

#include "common/engine/testing.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;
constexpr uint32_t kMostTokens = 300;

std::unique_ptr<StepDevice> NewDevice(bool deferred, uint64_t model_seed = 1) {
  auto hash = std::make_unique<HashDevice>(
      HashDeviceOptions{.num_pages = 64, .max_rows = kMostTokens, .vocab_size = kVocabulary, .model_seed = model_seed});
  if (!deferred) return hash;
  return std::make_unique<DeferredDevice>(std::move(hash));
}

const SalienceHeads kHeads = {.pointers = {{1, 0}}, .retrieval = {{0, 0}}};

class ScoreTest : public testing::TestWithParam<bool> {};

TEST_P(ScoreTest, WholeStepsAndSplitAgreeToTheBit) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Content content = RandomContent(kVocabulary, kMostTokens, random);
    SCOPED_TRACE(CanonicalPolicy(content.policy));
    const uint32_t size = static_cast<uint32_t>(content.ids.size());
    const uint32_t least = content.policy.prefill_full ? std::max(content.prompt_length, 1u) - 1 : 0;
    const auto device = NewDevice(GetParam());
    const absl::StatusOr<Score> whole = ScoreWhole(content, kHeads, device.get());
    ASSERT_TRUE(whole.ok()) << whole.status();
    const absl::StatusOr<Score> steps = ScoreSteps(content, kHeads, device.get());  // the same, used memory
    ASSERT_TRUE(steps.ok()) << steps.status();
    const auto other = NewDevice(GetParam());
    const absl::StatusOr<Score> split = ScoreSplit(content, kHeads, least + random() % (size + 1 - least),
                                                   1 + random() % 50, "model", device.get(), other.get());
    ASSERT_TRUE(split.ok()) << split.status();
    ASSERT_EQ(whole->logprobs.size(), size - 1);
    ASSERT_EQ(whole->logprobs, steps->logprobs);
    ASSERT_EQ(whole->logprobs, split->logprobs);
    ASSERT_EQ(whole->kept_rows, split->kept_rows);
    ASSERT_EQ(whole->kept_ranges, steps->kept_ranges);
    ASSERT_EQ(whole->kept_ranges, split->kept_ranges);
  }
}

// States of texts that begin alike, one after the other, with a budget that holds a few or all of their rows: whatever
// is held and left out, nothing changes.
TEST_P(ScoreTest, RowsThatAreHeldAreThoseThatWouldCome) {
  uint64_t held_rows = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto first = NewDevice(GetParam()), second = NewDevice(GetParam());
    const uint64_t row_bytes = first->row_shape().row_bytes();
    HeldRows held({.fingerprint = "model", .numerics_class = first->numerics_class()},
                  (seed % 3 == 0 ? 50 : 1000) * row_bytes);
    Content content = RandomTurn({}, kVocabulary, kMostTokens, random);
    for (int turn = 0; turn < 12; ++turn) {
      SCOPED_TRACE(CanonicalPolicy(content.policy));
      const uint32_t size = static_cast<uint32_t>(content.ids.size());
      const uint32_t least = std::max(content.prompt_length, 1u) - 1;
      const uint32_t split = random() % 2 ? least : least + random() % (size + 1 - least), chunk = 1 + random() % 50;
      const Score score =
          ScoreSplit(content, kHeads, split, chunk, "model", first.get(), second.get(), &held).value();
      const Score without = ScoreSplit(content, kHeads, split, chunk, "model", first.get(), second.get()).value();
      ASSERT_EQ(score.logprobs, without.logprobs);
      ASSERT_EQ(score.kept_ranges, without.kept_ranges);
      ASSERT_LE(score.segment_bytes + score.held_rows * row_bytes, without.segment_bytes + 2 * score.held_rows);
      held_rows += score.held_rows;
      content = RandomTurn(content, kVocabulary, kMostTokens, random);
    }
    ASSERT_LE(held.num_bytes(), (seed % 3 == 0 ? 50 : 1000) * row_bytes);
  }
  EXPECT_GT(held_rows, 2000u);
}

INSTANTIATE_TEST_SUITE_P(Devices, ScoreTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Deferred" : "Hash"; });

TEST(ScoreDetailsTest, RowsThatAreNoNumbersAreAnErrorAndNoScore) {
  HashDevice device({.num_pages = 64, .max_rows = kMostTokens, .vocab_size = kVocabulary, .bad_token = 3});
  const Content content{.ids = {1, 2, 3, 4}, .policy = {.recent = Policy::kAll}};
  for (const auto& score : {ScoreWhole(content, {}, &device), ScoreSteps(content, {}, &device)}) {
    EXPECT_EQ(score.status().code(), absl::StatusCode::kInternal) << score.status();
  }
}

TEST(ScoreDetailsTest, ASegmentOfAnotherModelIsRefused) {
  std::mt19937 random(1);
  const Content content = RandomContent(kVocabulary, 50, random);
  const auto first = NewDevice(false), second = NewDevice(false, 2);
  const Score right = ScoreSplit(content, kHeads, 0, 8, "model", second.get(), second.get()).value();
  const Score wrong =
      ScoreSplit(content, kHeads, content.ids.size() - 1, 8, "model", first.get(), second.get()).value();
  EXPECT_NE(right.logprobs, wrong.logprobs);  // the hash notices what a fingerprint would have prevented
}

TEST(ScoreDetailsTest, BytesAreTheRowsOfTheStateAndHeaders) {
  Content content{.ids = std::vector<uint32_t>(200, 7), .prompt_length = 200, .policy = {.sinks = 4, .recent = 20}};
  const auto a = NewDevice(false), b = NewDevice(false);
  const Score score = ScoreSplit(content, kHeads, 150, 32, "model", a.get(), b.get()).value();
  const uint64_t rows = 4 + 19;  // the row itself is the 20th
  EXPECT_EQ(score.kept_rows, rows);
  EXPECT_GE(score.segment_bytes, rows * a->row_shape().row_bytes());
  EXPECT_LE(score.segment_bytes, rows * a->row_shape().row_bytes() + 500);
}

TEST(ScoreDetailsTest, AChoiceGivenBackGivesTheSameRowsWithoutAttention) {
  Content content{.ids = std::vector<uint32_t>(200), .prompt_length = 150};
  for (uint32_t i = 0; i < 200; ++i) content.ids[i] = i % 11;
  content.policy = {.anchors = {10},
                    .keep_anchors = false,
                    .sinks = 2,
                    .recent = 8,
                    .view = Policy::View::kAll,
                    .prefill_full = true,
                    .salient_millionths = 200000,
                    .write_full = true};
  const auto a = NewDevice(false), b = NewDevice(false);
  const Score made = ScoreSteps(content, kHeads, a.get()).value();
  // Up to 48 rows in whole sequences of 11.
  ASSERT_TRUE(made.salient.has_value());
  uint32_t rows = 0;
  for (const PositionRange& range : *made.salient) {
    EXPECT_EQ(range.begin % 11, 0u);
    rows += range.end - range.begin;
  }
  EXPECT_GE(rows, 33u);

  content.salient = made.salient;
  const Score given = ScoreSplit(content, {}, 149, 20, "model", a.get(), b.get()).value();
  EXPECT_EQ(given.kept_ranges, made.kept_ranges);
  EXPECT_EQ(given.logprobs, made.logprobs);
}

TEST(ScoreDetailsTest, WhatCannotBeDoneIsNamed) {
  Content content{.ids = std::vector<uint32_t>(20, 1), .prompt_length = 10};
  content.policy = {.anchors = {1}, .prefill_full = true, .salient_millionths = 100000};
  const auto device = NewDevice(false);
  EXPECT_EQ(ScoreWhole(content, {}, device.get()).status().message().find("policy: salient:"), 0u);
  EXPECT_EQ(ScoreSplit(content, kHeads, 8, 4, "model", device.get(), device.get()).status().message().find("split: 8"),
            0u);
}

TEST(ScoreDetailsTest, BadTokensAreNamed) {
  const auto device = NewDevice(false);
  const Content content{.ids = {1, 2, 99}, .prompt_length = 3, .policy = {.recent = Policy::kAll}};
  const absl::Status status = ScoreWhole(content, kHeads, device.get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("ids[2]: 99"), std::string::npos) << status;
  EXPECT_EQ(ScoreWhole({}, kHeads, device.get()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ScoreDetailsTest, TooFewPagesIsAnAnswer) {
  HashDevice small({.num_pages = 2, .max_rows = 300, .vocab_size = kVocabulary});
  const Content content{.ids = std::vector<uint32_t>(200, 7), .prompt_length = 200, .policy = {.recent = Policy::kAll}};
  EXPECT_EQ(ScoreWhole(content, kHeads, &small).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kedge
