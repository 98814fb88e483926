// Tokens that the device chooses are those of the host.
#include "common/kernels/choose_token.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "common/kernels/cuda/choose_scratch.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/output_wish.h"
#include "common/kernels/cuda/test_device.h"
#include "common/kernels/finite.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Outputs {
  std::vector<ChosenToken> tokens;
  std::vector<std::vector<float>> logits;  // as the host has them: NaN where nothing was written
};

// `rows` of one size.
Outputs Choose(TestDevice& device, const std::vector<std::vector<float>>& rows, std::vector<OutputWish> wishes) {
  const int columns = static_cast<int>(rows[0].size()), count = static_cast<int>(rows.size());
  const int stride = (columns + 31) / 32 * 32;
  std::vector<float> all(size_t(count) * stride, kInfinity);
  for (int r = 0; r < count; ++r) std::copy(rows[r].begin(), rows[r].end(), all.begin() + size_t(r) * stride);
  ChosenToken* chosen = device.New<ChosenToken>(count);
  float* host = device.NewPinned<float>(size_t(count) * columns);
  for (int r = 0; r < count; ++r) wishes[r].host_logits = host + size_t(r) * columns;
  uint8_t* scratch = device.New<uint8_t>(ChooseScratchBytes(device.properties(), count, columns));
  EXPECT_TRUE(ChooseTokens(device.stream(), device.properties(), count, {device.Upload(all), columns, stride},
                           device.Upload(wishes), scratch, chosen)
                  .ok());
  Outputs out = {.tokens = device.Download(chosen, count)};
  for (int r = 0; r < count; ++r) out.logits.emplace_back(host + size_t(r) * columns, host + size_t(r + 1) * columns);
  return out;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
bool IsUntouched(const std::vector<float>& logits) {
  return std::all_of(logits.begin(), logits.end(), [](float x) { return std::isnan(x); });
}

std::vector<float> RandomLogits(size_t size, std::mt19937& random) {
  std::vector<float> logits(size);
  const float deviation = std::vector<float>{1e-30f, 0.01f, 0.5f, 2, 4, 20}[random() % 6];
  std::normal_distribution<float> normal(random() % 2 ? 0 : -100, deviation);
  for (float& logit : logits) logit = normal(random);
  if (random() % 3 == 0) {  // ties
    for (float& logit : logits) logit = std::round(2 * logit) / 2;
  }
  if (random() % 4 == 0) {
    for (float& logit : logits) logit = random() % 3 ? logit : -kInfinity;
  }
  if (random() % 4 == 0) logits[random() % size] += 15;
  if (random() % 20 == 0) logits[random() % size] = std::numeric_limits<float>::max();
  if (random() % 20 == 0) logits[random() % size] = kInfinity;
  if (random() % 20 == 0) logits[random() % size] = std::nanf("");
  if (random() % 40 == 0) std::fill(logits.begin(), logits.end(), -kInfinity);
  return logits;
}

TokenChoice RandomChoice(uint32_t size, std::mt19937& random) {
  constexpr float kTemperatures[] = {0, 1e-40f, 1e-3f, 0.3f, 0.7f, 1, 1, 1, 1.5f, 10, 1e6f, 1e38f};
  constexpr float kTopP[] = {1, 1, 1, 1e-9f, 0.1f, 0.5f, 0.9f, 0.95f, 0.999f, 0.99999994f, -1};
  constexpr float kMinP[] = {0, 0, 0, 1e-5f, 0.02f, 0.3f, 1, 5};
  const uint32_t top_k[] = {0, 0, 0, 1, 2, 40, size / 2, size - 1, size, size + 5};
  return {.temperature = kTemperatures[random() % 12],
          .top_p = kTopP[random() % 11],
          .min_p = kMinP[random() % 8],
          .top_k = top_k[random() % 10],
          .seed = random()};
}

void ExpectTokensOfTheHost(std::optional<uint64_t> seed, size_t size, int count, std::mt19937& random,
                           uint32_t* undecided, uint32_t* needed_order) {
  TestDevice device(seed);
  std::vector<std::vector<float>> rows;
  std::vector<TokenChoice> choices;
  std::vector<OutputWish> wishes;
  for (int i = 0; i < count; ++i) {
    rows.push_back(i % 4 ? rows.back() : RandomLogits(size, random));
    choices.push_back(RandomChoice(static_cast<uint32_t>(size), random));
    wishes.push_back(random() % 10 ? MakeWish(choices.back()) : WishForLogits());
  }
  const Outputs out = Choose(device, rows, wishes);
  for (int i = 0; i < count; ++i) {
    const TokenChoice& choice = choices[i];
    const ChosenToken& chosen = out.tokens[i];
    ASSERT_EQ(chosen.is_finite, AllFinite(rows[i].data(), size));
    if (wishes[i].wants_logits || !chosen.is_decided) {
      ASSERT_FALSE(chosen.is_decided);
      ASSERT_TRUE(SameBits(out.logits[i], rows[i]));
    } else {
      ASSERT_EQ(chosen.token, ChooseToken(rows[i], choice))
          << choice.temperature << " " << choice.top_p << " " << choice.min_p << " " << choice.top_k << " of " << size;
      ASSERT_TRUE(IsUntouched(out.logits[i]));
    }
    if (wishes[i].wants_logits) continue;
    *undecided += !chosen.is_decided;
    if (choice.temperature > 0) *needed_order += !DrawWithoutOrder(rows[i], choice, wishes[i].uniform).has_value();
  }
}

// TSan takes its time to make a thread, and a row has hundreds.
int Many(int count) { return emulated::HasThreadSanitizer() ? 1 + count / 200 : count; }

TEST(ChooseTokens, AreThoseOfTheHost) {
  std::mt19937 random(1);
  uint32_t undecided = 0, needed_order = 0;
  for (const size_t size : {1, 2, 31, 257, 1000, 5003}) {
    ExpectTokensOfTheHost(std::nullopt, size, Many(260), random, &undecided, &needed_order);
    ExpectTokensOfTheHost(1, size, Many(40), random, &undecided, &needed_order);
    ExpectTokensOfTheHost(2, size, Many(40), random, &undecided, &needed_order);
  }
  // One in a row of one, many parts.
  for (int i = 0; i < Many(40); ++i) ExpectTokensOfTheHost(i % 3, 20011, 1, random, &undecided, &needed_order);
  // Edges such as a share of 1e-9 leave some to the defined order on the host as well.
  EXPECT_LE(undecided, 2 * needed_order + 4);
}

std::vector<float> OrdinaryLogits(size_t size, std::mt19937& random) {
  std::normal_distribution<float> normal(0, 2.5);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

TEST(ChooseTokens, HardlyEverLeavesOrdinaryDrawsToTheHost) {
  std::mt19937 random(3);
  const TokenChoice choices[] = {TokenChoice{}, TokenChoice{.top_p = 0.9f},
                                 TokenChoice{.temperature = 0.7f, .top_p = 0.95f, .top_k = 50},
                                 TokenChoice{.min_p = 0.05f}, TokenChoice{.temperature = 2, .top_p = 0.99f}};
  const std::vector<float> logits = OrdinaryLogits(1500, random);
  std::vector<OutputWish> wishes;
  for (int i = 0; i < Many(1000); ++i) {
    TokenChoice choice = choices[i % 5];
    choice.seed = i;
    wishes.push_back(MakeWish(choice));
  }
  TestDevice device(std::nullopt);
  const Outputs out = Choose(device, {wishes.size(), logits}, wishes);
  for (int i = 0; i < Many(1000); ++i) {
    TokenChoice choice = choices[i % 5];
    choice.seed = i;
    ASSERT_TRUE(out.tokens[i].is_decided);
    ASSERT_EQ(out.tokens[i].token, ChooseToken(logits, choice));
  }
}

// The sums of the weights by id or from the largest on, as parts of the whole.
std::vector<double> Boundaries(std::vector<float> logits, bool by_value) {
  const double best = *std::max_element(logits.begin(), logits.end());
  if (by_value) std::sort(logits.begin(), logits.end(), std::greater<>());
  std::vector<double> sums;
  double sum = 0;
  for (float logit : logits) sums.push_back(sum += std::exp(logit - best));
  for (double& value : sums) value /= sum;
  return sums;
}

TEST(ChooseTokens, LeavesADrawNearABoundaryToTheHost) {
  std::mt19937 random(4);
  std::vector<float> logits(700);  // unlike ordinary ones none of a weight that is itself within rounding
  for (float& logit : logits) logit = std::uniform_real_distribution<float>(0, 4)(random);
  for (const bool by_value : {false, true}) {
    const std::vector<double> boundaries = Boundaries(logits, by_value);
    std::vector<OutputWish> wishes;
    std::vector<bool> is_near;
    for (int i = 0; i < Many(90); ++i) {
      OutputWish wish = MakeWish({.top_k = by_value ? 699u : 0});
      // top-k takes the last one away, which is a part of all.
      const double all = by_value ? boundaries[698] : 1;
      const double distance = std::vector<double>{0, 1e-16, -1e-16, 5e-10, -5e-10, 1e-8, -1e-8}[i % 7];
      wish.uniform = (boundaries[random() % 690] / all) + distance;
      wishes.push_back(wish);
      is_near.push_back(std::abs(distance) < 1e-9);
    }
    TestDevice device(1);
    const Outputs out = Choose(device, {wishes.size(), logits}, wishes);
    for (size_t i = 0; i < wishes.size(); ++i) {
      ASSERT_EQ(out.tokens[i].is_decided, !is_near[i]) << by_value << " " << i;
      if (is_near[i]) {
        ASSERT_TRUE(SameBits(out.logits[i], logits));
      } else {
        ASSERT_EQ(out.tokens[i].token, DrawInOrder(logits, {.top_k = by_value ? 699u : 0}, wishes[i].uniform));
      }
    }
  }
}

TEST(ChooseTokens, LeavesTheEndOfTopPNearABoundaryToTheHost) {
  const std::vector<float> logits = {0, 0, 0, 0};
  TestDevice device(std::nullopt);
  for (const float top_p : {0.25f, 0.5f, 0.75f}) {
    EXPECT_FALSE(Choose(device, {logits}, {MakeWish({.top_p = top_p})}).tokens[0].is_decided);
    EXPECT_TRUE(Choose(device, {logits}, {MakeWish({.top_p = top_p + 0.01f})}).tokens[0].is_decided);
  }
}

TEST(ChooseTokens, OfThousandsOfEqualsTopKKeepsTheLowerIds) {
  std::vector<float> logits(4000, 1.0f);
  logits[3000] = 2;
  std::vector<OutputWish> wishes;
  std::vector<TokenChoice> choices;
  for (int i = 0; i < Many(60); ++i) {
    choices.push_back({.top_k = i % 2 ? 1000u : 5u, .seed = static_cast<uint64_t>(i)});
    wishes.push_back(MakeWish(choices.back()));
  }
  TestDevice device(2);
  const Outputs out = Choose(device, {wishes.size(), logits}, wishes);
  for (size_t i = 0; i < wishes.size(); ++i) {
    ASSERT_TRUE(out.tokens[i].is_decided);
    ASSERT_TRUE(out.tokens[i].token < choices[i].top_k || out.tokens[i].token == 3000);
    ASSERT_EQ(out.tokens[i].token, ChooseToken(logits, choices[i]));
  }
}

TEST(ChooseTokens, GreedyTakesTheLowerIdOfEqualsFromAllParts) {
  for (const int seed : {1, 2}) {
    if (seed == 2 && emulated::HasThreadSanitizer()) break;
    TestDevice device(seed);
    std::vector<float> logits(9001, -5);
    const OutputWish greedy = MakeWish({.temperature = 0});
    logits[8999] = logits[4100] = logits[2049] = 4;
    EXPECT_EQ(Choose(device, {logits}, {greedy}).tokens[0].token, 2049u);
    EXPECT_EQ(Choose(device, {logits, logits, logits}, {greedy, greedy, greedy}).tokens[2].token, 2049u);
    std::vector<float> zeros = {-1, -0.0f, 0.0f};
    EXPECT_EQ(Choose(device, {zeros}, {greedy}).tokens[0].token, 1u);
    const ChosenToken none = Choose(device, {{-kInfinity, -kInfinity}}, {greedy}).tokens[0];
    EXPECT_EQ(none.token, 0u);
    EXPECT_TRUE(none.is_decided);
    EXPECT_FALSE(none.is_finite);
  }
}

TEST(ChooseTokens, NoRowsAreNoLaunch) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(
      ChooseTokens(device.stream(), device.properties(), 0, {nullptr, 100, 128}, nullptr, nullptr, nullptr)
          .ok());
}

TEST(ChooseTokens, ScratchForRowsIsEnoughForFewer) {
  const DeviceProperties device = {.multiprocessors = 132};
  for (const int columns : {1, 5003, 151936}) {
    for (const int most : {1, 3, 256, 1000}) {
      for (int rows = 1; rows <= most; ++rows) {
        ASSERT_LE(rows * (sizeof(Histogram) + PartsOf(device, rows, columns) * sizeof(PartBest)),
                  ChooseScratchBytes(device, most, columns));
      }
    }
  }
}

}  // namespace
}  // namespace kedge::cuda
