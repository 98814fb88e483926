// Tokens that the device chooses are those of the host.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "common/kernels/choose_token.h"
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

TEST(ChooseTokens, AreThoseOfTheHost) {
  std::mt19937 random(1);
  uint32_t undecided = 0, needed_order = 0;
  for (const size_t size : {1, 2, 31, 257, 1000, 5003}) {
    ExpectTokensOfTheHost(std::nullopt, size, 400, random, &undecided, &needed_order);
    ExpectTokensOfTheHost(1, size, 60, random, &undecided, &needed_order);
    ExpectTokensOfTheHost(2, size, 60, random, &undecided, &needed_order);
  }
  // One in a row of one, many parts.
  for (int i = 0; i < 40; ++i) ExpectTokensOfTheHost(i % 3, 20011, 1, random, &undecided, &needed_order);
  // Edges such as a share of 1e-9 leave some to the defined order on the host as well.
  EXPECT_LE(undecided, 2 * needed_order + 4);
}

}  // namespace
}  // namespace kedge::cuda
