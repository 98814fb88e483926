#include "common/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

uint32_t Sample(const std::vector<float>& logits, const SamplingParams& params, std::vector<uint32_t> ids = {0},
                uint32_t prompt_length = 1) {
  return SampleToken(logits, params, ids, prompt_length).id;
}

TEST(SamplerTest, GreedyTakesTheLowerIdOfEquals) { EXPECT_EQ(Sample({1, 3, 3, 2}, {.temperature = 0}), 1u); }

TEST(SamplerTest, DrawsFollowTheDistribution) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.6f), std::log(0.3f)};
  std::map<uint32_t, int> counts;
  for (uint64_t seed = 0; seed < 20000; ++seed) ++counts[Sample(logits, {.seed = seed})];
  EXPECT_NEAR(counts[0] / 20000.0, 0.1, 0.01);
  EXPECT_NEAR(counts[1] / 20000.0, 0.6, 0.012);
  EXPECT_NEAR(counts[2] / 20000.0, 0.3, 0.012);
}

TEST(SamplerTest, DrawIsAFunctionOfSeedCompletionAndPosition) {
  std::vector<float> logits(1000, 0.0f);
  const SamplingParams params{.seed = 42};
  EXPECT_EQ(Sample(logits, params), Sample(logits, params));
  SamplingParams other = params;
  other.completion_index = 1;
  EXPECT_NE(Sample(logits, params), Sample(logits, other));
  EXPECT_NE(Sample(logits, params), Sample(logits, params, {0, 5}, 1));
  EXPECT_EQ(Sample(logits, params, {0, 5}, 1), Sample(logits, params, {9, 7}, 1));  // the ids themselves do not matter
}

TEST(SamplerTest, TopKTopPAndMinPCutTheTail) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.25f), std::log(0.15f), std::log(0.1f)};
  for (uint64_t seed = 0; seed < 500; ++seed) {
    EXPECT_LT(Sample(logits, {.top_k = 2, .seed = seed}), 2u);
    EXPECT_LT(Sample(logits, {.top_p = 0.7f, .seed = seed}), 2u);
    EXPECT_LT(Sample(logits, {.min_p = 0.29f, .seed = seed}), 3u);
    EXPECT_EQ(Sample(logits, {.top_p = 0.01f, .seed = seed}), 0u);
  }
}

// Of a large vocabulary only the head is sorted; where it ends must not show.
TEST(SamplerTest, TopPOfManyTokensDrawsAsFromTheWholeOrder) {
  std::mt19937 random(5);
  std::vector<float> logits(5000);
  for (float& logit : logits) logit = std::normal_distribution<float>(0, 1.5)(random);
  std::vector<uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  double total = 0;
  for (float logit : logits) total += std::exp(double{logit});
  for (float top_p : {0.2f, 0.5f, 0.9f, 0.999f}) {
    double sum = 0;
    size_t kept = 0;
    while (sum < double{top_p} * total) sum += std::exp(double{logits[order[kept++]]});
    std::vector<uint32_t> rank(logits.size());
    for (uint32_t i = 0; i < order.size(); ++i) rank[order[i]] = i;
    size_t deepest = 0;
    for (uint64_t seed = 0; seed < 3000; ++seed) {
      deepest = std::max<size_t>(deepest, rank[Sample(logits, {.top_p = top_p, .seed = seed})]);
    }
    EXPECT_LT(deepest, kept) << top_p;
    EXPECT_GT(deepest, kept / 2) << top_p;
  }
}

TEST(SamplerTest, BiasAndPenaltiesChangeTheChoice) {
  const std::vector<float> logits = {2.0f, 1.9f, 0.0f, -1.0f};
  SamplingParams params{.temperature = 0};
  params.logit_bias = {{3, 10.0f}};
  EXPECT_EQ(Sample(logits, params), 3u);
  EXPECT_EQ(Sample(logits, {.temperature = 0, .repetition_penalty = 1.2f}, {0}, 1), 1u);  // prompt counts
  EXPECT_EQ(Sample(logits, {.temperature = 0, .presence_penalty = 0.2f}, {0}, 1), 0u);    // prompt does not count
  EXPECT_EQ(Sample(logits, {.temperature = 0, .presence_penalty = 0.2f}, {9, 0}, 1), 1u);
  EXPECT_EQ(Sample(logits, {.temperature = 0, .frequency_penalty = 0.06f}, {9, 0}, 1), 0u);
  EXPECT_EQ(Sample(logits, {.temperature = 0, .frequency_penalty = 0.06f}, {9, 0, 0}, 1), 1u);
}

TEST(SamplerTest, ExtremePenaltiesStillGiveAToken) {
  const std::vector<float> logits = {5.0f, -4.0f, 3.0f};
  for (const float penalty : {1e-40f, 1e-20f, 1e30f}) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      EXPECT_LT(Sample(logits, {.repetition_penalty = penalty, .seed = seed}, {0, 1, 2}, 3), 3u);
    }
  }
  EXPECT_EQ(Sample(logits, {.temperature = 1e-40f}), 0u);
}

TEST(SamplerTest, NoEndBeforeMinTokens) {
  const std::vector<float> logits = {5.0f, 1.0f, 0.0f};
  const SamplingParams params{.temperature = 0, .min_tokens = 2, .end_ids = {0}};
  EXPECT_EQ(Sample(logits, params, {7}, 1), 1u);
  EXPECT_EQ(Sample(logits, params, {7, 1}, 1), 1u);
  EXPECT_EQ(Sample(logits, params, {7, 1, 1}, 1), 0u);
}

TEST(SamplerTest, LogprobsAreOfTheUnmodifiedLogits) {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f};
  SamplingParams params{.temperature = 0, .logprobs = 2};
  params.logit_bias = {{0, 100.0f}};
  const SampledToken token = SampleToken(logits, params, {1}, 1);
  ASSERT_TRUE(token.logprob.has_value());
  EXPECT_EQ(token.id, 0u);
  EXPECT_EQ(token.logprob->rank, 3u);
  EXPECT_NEAR(token.logprob->logprob, -2.407606, 1e-5);
  EXPECT_EQ(token.logprob->top_ids, (std::vector<uint32_t>{2, 1}));
  EXPECT_NEAR(token.logprob->top_logprobs[0], -0.407606, 1e-5);
}

TEST(SamplerTest, WhatCannotBeWorkedWithIsNamed) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(CheckSampling({.logit_bias = {{9, -1e30f}}, .end_ids = {1, 3}, .logprobs = kMaxLogprobs}, 10).ok());
  const std::pair<std::string, SamplingParams> wrong[] = {
      {"temperature: is -1", {.temperature = -1}},
      {"temperature: is nan", {.temperature = nan}},
      {"temperature: is inf", {.temperature = infinity}},
      {"top_p: is 0", {.top_p = 0}},
      {"top_p: is 1.5", {.top_p = 1.5f}},
      {"min_p: is -0.5", {.min_p = -0.5f}},
      {"frequency_penalty: is nan", {.frequency_penalty = nan}},
      {"presence_penalty: is inf", {.presence_penalty = infinity}},
      {"repetition_penalty: is 0", {.repetition_penalty = 0}},
      {"logit_bias[10]: the id", {.logit_bias = {{10, 1.0f}}}},
      {"logit_bias[1]: is not finite", {.logit_bias = {{1, nan}}}},
      {"end_ids[1]", {.end_ids = {3, 3}}},
      {"logprobs: is 21", {.logprobs = 21}},
  };
  for (const auto& [message, params] : wrong) {
    const absl::Status status = CheckSampling(params, 10);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_EQ(status.message().find("sampling." + message), 0u) << status;
  }
}

TEST(SamplerTest, ProbabilitiesSumToOne) {
  std::mt19937 random(3);
  std::vector<float> logits(500);
  for (float& logit : logits) logit = std::normal_distribution<float>(0, 5)(random);
  double sum = 0;
  for (uint32_t id = 0; id < logits.size(); ++id) sum += std::exp(LogProbability(logits, id));
  EXPECT_NEAR(sum, 1.0, 1e-9);
}

}  // namespace
}  // namespace kedge
