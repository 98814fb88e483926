// What is drawn is held against the sampler as it was before draws were made without order.
#include "common/kernels/choose_token.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "common/kernels/elementary.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

struct Candidate {
  float logit;
  uint32_t id;
};

bool Better(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

// exp((logit - best) / temperature), in the order of the candidates.
std::vector<double> Weights(absl::Span<const Candidate> candidates, double best, double temperature) {
  std::vector<double> weights(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) weights[i] = (candidates[i].logit - best) / temperature;
  ExpEach(absl::MakeSpan(weights));
  return weights;
}

// Brings the best candidates whose weights reach `share` of the total to the front, in order, and drops the rest. Only
// as many are sorted as are needed.
void CutTopP(double share, double best, double temperature, std::vector<Candidate>* candidates) {
  const std::vector<double> all = Weights(*candidates, best, temperature);
  const double enough = share * std::accumulate(all.begin(), all.end(), 0.0);
  for (size_t head = 64;; head *= 8) {
    head = std::min(head, candidates->size());
    std::partial_sort(candidates->begin(), candidates->begin() + head, candidates->end(), Better);
    const std::vector<double> weights = Weights(absl::MakeConstSpan(*candidates).first(head), best, temperature);
    double sum = 0;
    size_t count = 0;
    while (count < head && sum < enough) sum += weights[count++];
    if (sum < enough && head < candidates->size()) continue;
    candidates->resize(std::max<size_t>(count, 1));
    return;
  }
}

// Draws from the softmax of values / temperature over what top-k, top-p and min-p leave. Tokens with less than e^-28 of
// the best one's weight, which would come up once in 10^12 draws, are left out first: of a large vocabulary that is
// most.
uint32_t Draw(absl::Span<const float> values, const TokenChoice& params, double uniform) {
  constexpr double kNever = 28;
  const double best = *std::max_element(values.begin(), values.end());
  if (best == -std::numeric_limits<double>::infinity()) return 0;
  const float least = static_cast<float>(best - kNever * params.temperature);
  std::vector<Candidate> candidates;
  candidates.reserve(values.size());
  for (uint32_t id = 0; id < values.size(); ++id) {
    if (values[id] >= least) candidates.push_back({values[id], id});
  }
  if (params.top_k > 0 && params.top_k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + params.top_k, candidates.end(), Better);
    candidates.resize(params.top_k);
    std::sort(candidates.begin(), candidates.end(), Better);
  }
  if (params.top_p < 1.0f) CutTopP(params.top_p, best, params.temperature, &candidates);
  if (params.min_p > 0.0f) {
    const double least_left = best + params.temperature * LogDouble(params.min_p);
    std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.logit < least_left; });
  }
  const std::vector<double> weights = Weights(candidates, best, params.temperature);
  double target = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i + 1 < weights.size(); ++i) {
    target -= weights[i];
    if (target < 0) return candidates[i].id;
  }
  return candidates.back().id;
}

std::vector<float> RandomLogits(size_t size, std::mt19937& random) {
  std::vector<float> logits(size);
  const float deviation = std::vector<float>{0, 0.01f, 0.5f, 2, 4, 20}[random() % 6];
  std::normal_distribution<float> normal(random() % 2 ? 0 : -100, std::max(deviation, 1e-30f));
  for (float& logit : logits) logit = normal(random);
  if (random() % 3 == 0) {  // ties
    for (float& logit : logits) logit = std::round(2 * logit) / 2;
  }
  if (random() % 4 == 0) {
    for (float& logit : logits) logit = random() % 3 ? logit : -std::numeric_limits<float>::infinity();
  }
  if (random() % 4 == 0) logits[random() % size] += 15;
  if (random() % 20 == 0) logits[random() % size] = std::numeric_limits<float>::max();
  return logits;
}

TokenChoice RandomChoice(uint32_t size, std::mt19937& random) {
  constexpr float kTemperatures[] = {1e-40f, 1e-3f, 0.3f, 0.7f, 1, 1, 1, 1.5f, 10, 1e6f, 1e38f};
  constexpr float kTopP[] = {1, 1, 1e-9f, 0.1f, 0.5f, 0.9f, 0.95f, 0.999f, 0.99999994f};
  constexpr float kMinP[] = {0, 0, 0, 1e-5f, 0.02f, 0.3f, 1};
  const uint32_t top_k[] = {0, 0, 0, 1, 2, 40, size / 2, size - 1, size, size + 5};
  return {.temperature = kTemperatures[random() % 11],
          .top_p = kTopP[random() % 9],
          .min_p = kMinP[random() % 7],
          .top_k = top_k[random() % 10]};
}

// The sums of the weights in the order of a draw over all, as parts of the whole.
std::vector<double> Boundaries(const std::vector<float>& logits, double temperature) {
  const double best = *std::max_element(logits.begin(), logits.end());
  std::vector<double> sums;
  double sum = 0;
  for (float logit : logits) sums.push_back(sum += std::exp((logit - best) / temperature));
  for (double& value : sums) value /= sum;
  return sums;
}

TEST(ChooseTokenTest, DrawsAreThoseOfTheOldSampler) {
  std::mt19937 random(1);
  for (int row = 0; row < 1500; ++row) {
    SCOPED_TRACE(row);
    const size_t size = row % 10 ? 1 + random() % 700 : 1 + random() % 20000;
    const std::vector<float> logits = RandomLogits(size, random);
    for (int i = 0; i < 4; ++i) {
      const TokenChoice choice = RandomChoice(static_cast<uint32_t>(size), random);
      const double uniform =
          i == 0 ? (random() % 2 ? 0 : 1 - 0x1p-53) : std::uniform_real_distribution<double>(0, 1)(random);
      const uint32_t expected = Draw(logits, choice, uniform);
      ASSERT_EQ(DrawInOrder(logits, choice, uniform), expected);
      const std::optional<uint32_t> token = DrawWithoutOrder(logits, choice, uniform);
      if (token.has_value()) {
        ASSERT_EQ(*token, expected) << choice.temperature << " " << choice.top_p << " " << choice.min_p << " "
                                    << choice.top_k << " " << uniform << " of " << size;
      }
    }
  }
}

TEST(ChooseTokenTest, NearABoundaryTheOrderDecides) {
  std::mt19937 random(2);
  uint32_t undecided = 0;
  for (int row = 0; row < 300; ++row) {
    const size_t size = 2 + random() % 3000;
    std::vector<float> logits(size);
    for (float& logit : logits) logit = std::normal_distribution<float>(0, 2)(random);
    const std::vector<double> boundaries = Boundaries(logits, 1);
    for (int i = 0; i < 20; ++i) {
      const double boundary = boundaries[random() % (size - 1)];
      const double uniform = std::clamp(boundary + (static_cast<int>(random() % 9) - 4) * 0x1p-52, 0.0, 1 - 0x1p-53);
      const std::optional<uint32_t> token = DrawWithoutOrder(logits, {}, uniform);
      undecided += !token.has_value();
      ASSERT_EQ(token.value_or(DrawInOrder(logits, {}, uniform)), Draw(logits, {}, uniform));
    }
  }
  EXPECT_EQ(undecided, 300u * 20);
}

// What a model's logits look like to a request's usual parameters: the order is hardly ever made.
TEST(ChooseTokenTest, OfAVocabularyOf128kHardlyADrawNeedsOrder) {
  std::mt19937 random(3);
  std::vector<float> logits(128256);
  for (float& logit : logits) logit = std::normal_distribution<float>(0, 2.5)(random);
  for (const TokenChoice& choice :
       {TokenChoice{}, TokenChoice{.top_p = 0.9f}, TokenChoice{.temperature = 0.7f, .top_p = 0.95f, .top_k = 50},
        TokenChoice{.min_p = 0.05f}, TokenChoice{.temperature = 2, .top_p = 0.99f}}) {
    for (int i = 0; i < 20; ++i) {
      const double uniform = std::uniform_real_distribution<double>(0, 1)(random);
      const std::optional<uint32_t> token = DrawWithoutOrder(logits, choice, uniform);
      ASSERT_TRUE(token.has_value());
      ASSERT_EQ(*token, Draw(logits, choice, uniform));
    }
  }
}

TEST(ChooseTokenTest, GreedyTakesTheLowerIdOfEquals) {
  EXPECT_EQ(ChooseToken({1, 3, 3, 2}, {.temperature = 0}), 1u);
  std::vector<float> logits(1000, -5);
  logits[700] = logits[900] = 4;
  EXPECT_EQ(ChooseToken(logits, {.temperature = 0}), 700u);
}

TEST(ChooseTokenTest, WhatIsForbiddenIsNeverChosenAndSomethingAlwaysIs) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (uint64_t seed = 0; seed < 100; ++seed) {
    EXPECT_EQ(ChooseToken({-kInfinity, 1, -kInfinity}, {.seed = seed}), 1u);
    EXPECT_EQ(ChooseToken({1, 2, 1}, {.min_p = 5, .seed = seed}), 1u);  // more than all: the best one stays
    EXPECT_EQ(ChooseToken({1, 2, 1}, {.top_p = -1, .seed = seed}), 1u);
  }
  EXPECT_EQ(ChooseToken({-kInfinity, -kInfinity}, {}), 0u);
  EXPECT_EQ(ChooseToken({1, kInfinity, 3}, {}), 1u);
  EXPECT_EQ(ChooseToken({1, 2, std::numeric_limits<float>::quiet_NaN()}, {.temperature = 0}), 2u);
}

TEST(ChooseTokenTest, ADrawIsAFunctionOfSeedCompletionAndPosition) {
  const std::vector<float> logits(1000, 0.0f);
  const uint32_t token = ChooseToken(logits, {.seed = 42});
  EXPECT_EQ(ChooseToken(logits, {.seed = 42}), token);
  EXPECT_NE(ChooseToken(logits, {.seed = 43}), token);
  EXPECT_NE(ChooseToken(logits, {.seed = 42, .completion = 1}), token);
  EXPECT_NE(ChooseToken(logits, {.seed = 42, .position = 1}), token);
}

}  // namespace
}  // namespace kedge
