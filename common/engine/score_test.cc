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

class ScoreTest : public testing::TestWithParam<bool> {};

TEST_P(ScoreTest, WholeStepsAndSplitAgreeToTheBit) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Content content = RandomContent(kVocabulary, kMostTokens, random);
    SCOPED_TRACE(CanonicalPolicy(content.policy));
    const uint32_t size = static_cast<uint32_t>(content.ids.size());
    const auto device = NewDevice(GetParam());
    const absl::StatusOr<Score> whole = ScoreWhole(content, device.get());
    ASSERT_TRUE(whole.ok()) << whole.status();
    const absl::StatusOr<Score> steps = ScoreSteps(content, device.get());  // the same, used memory
    ASSERT_TRUE(steps.ok()) << steps.status();
    const auto other = NewDevice(GetParam());
    const absl::StatusOr<Score> split =
        ScoreSplit(content, random() % (size + 1), 1 + random() % 50, "model", device.get(), other.get());
    ASSERT_TRUE(split.ok()) << split.status();
    ASSERT_EQ(whole->logprobs.size(), size - 1);
    ASSERT_EQ(whole->logprobs, steps->logprobs);
    ASSERT_EQ(whole->logprobs, split->logprobs);
    ASSERT_EQ(whole->kept_rows, split->kept_rows);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, ScoreTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Deferred" : "Hash"; });

TEST(ScoreDetailsTest, ASegmentOfAnotherModelIsRefused) {
  std::mt19937 random(1);
  const Content content = RandomContent(kVocabulary, 50, random);
  const auto first = NewDevice(false), second = NewDevice(false, 2);
  const Score right = ScoreSplit(content, 0, 8, "model", second.get(), second.get()).value();
  const Score wrong = ScoreSplit(content, content.ids.size() - 1, 8, "model", first.get(), second.get()).value();
  EXPECT_NE(right.logprobs, wrong.logprobs);  // the hash notices what a fingerprint would have prevented
}

TEST(ScoreDetailsTest, BytesAreTheRowsOfTheStateAndHeaders) {
  Content content{.ids = std::vector<uint32_t>(200, 7), .prompt_length = 200, .policy = {.sinks = 4, .recent = 20}};
  const auto a = NewDevice(false), b = NewDevice(false);
  const Score score = ScoreSplit(content, 150, 32, "model", a.get(), b.get()).value();
  const uint64_t rows = 4 + 19;  // the row itself is the 20th
  EXPECT_EQ(score.kept_rows, rows);
  EXPECT_GE(score.segment_bytes, rows * a->row_shape().row_bytes());
  EXPECT_LE(score.segment_bytes, rows * a->row_shape().row_bytes() + 500);
}

TEST(ScoreDetailsTest, BadTokensAreNamed) {
  const auto device = NewDevice(false);
  const Content content{.ids = {1, 2, 99}, .prompt_length = 3, .policy = {.recent = Policy::kAll}};
  const absl::Status status = ScoreWhole(content, device.get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("ids[2]: 99"), std::string::npos) << status;
  EXPECT_EQ(ScoreWhole({}, device.get()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ScoreDetailsTest, TooFewPagesIsAnAnswer) {
  HashDevice small({.num_pages = 2, .max_rows = 300, .vocab_size = kVocabulary});
  const Content content{.ids = std::vector<uint32_t>(200, 7), .prompt_length = 200, .policy = {.recent = Policy::kAll}};
  EXPECT_EQ(ScoreWhole(content, &small).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kedge
