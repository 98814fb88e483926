// Going on from a prefix that was computed once gives what the engine gives without one, to the bit.
#include "eval/continuation.h"

#include <algorithm>
#include <random>

#include "common/engine/score.h"
#include "common/engine/testing.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "eval/agreement.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;

const SalienceHeads kHeads = {.pointers = {{1, 0}}, .retrieval = {{0, 0}}};
const Policy kFullAttention = {.recent = Policy::kAll};

std::unique_ptr<StepDevice> NewDevice(uint32_t max_rows, uint32_t num_pages = 400) {
  return std::make_unique<DeferredDevice>(std::make_unique<HashDevice>(
      HashDeviceOptions{.num_pages = num_pages, .max_rows = max_rows, .vocab_size = kVocabulary}));
}

Content PrefixContent(const Continuation& continuation, const Policy& policy, uint32_t end) {
  Content content{.ids = {continuation.prompt.begin(), continuation.prompt.begin() + end},
                  .prompt_length = end + 1,  // it goes on
                  .policy = policy};
  for (uint32_t position : continuation.no_anchor_positions) {
    if (position < end) content.no_anchor_positions.push_back(position);
  }
  for (uint32_t position = 0; policy.text_anchors && position < std::min<size_t>(end, continuation.cuts.size());
       ++position) {
    if (continuation.cuts[position] == CutStrength::kEnd) content.sequence_ends.push_back(position);
  }
  return content;
}

// A random content of at least three ids as a prompt and a given text.
Continuation RandomGiven(std::mt19937& random, Policy* policy) {
  Content content;
  do {
    content = RandomContent(kVocabulary, 200, random);
  } while (content.ids.size() < 3);
  *policy = content.policy;
  const uint32_t prompt = 2 + random() % (content.ids.size() - 2);
  Continuation continuation{.prompt = {content.ids.begin(), content.ids.begin() + prompt},
                            .given = {content.ids.begin() + prompt, content.ids.end()}};
  for (uint32_t position : content.no_anchor_positions) {
    if (position < prompt) continuation.no_anchor_positions.push_back(position);
  }
  continuation.cuts.resize(prompt, CutStrength::kNever);
  for (uint32_t position : content.sequence_ends) {
    if (position < prompt) continuation.cuts[position] = CutStrength::kEnd;
  }
  return continuation;
}

TEST(ContinuationTest, AGivenTextScoresAsInOnePass) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    Policy policy;
    const Continuation continuation = RandomGiven(random, &policy);
    SCOPED_TRACE(CanonicalPolicy(policy));
    const uint32_t size = static_cast<uint32_t>(continuation.prompt.size());
    const auto device = NewDevice(1 + random() % 60);
    // Two forks: the later one must not have cost the earlier one anything.
    const uint32_t latest = LatestFork(policy, size);
    const uint32_t fork = random() % (latest + 1), later = fork + random() % (latest + 1 - fork);
    const Policy& prefill = HasFullPrefill(policy) && policy.salient_millionths == 0 ? kFullAttention : policy;
    const auto states = ComputePrefix(PrefixContent(continuation, prefill, later), {fork, later}, kHeads, device.get());
    ASSERT_TRUE(states.ok()) << states.status();

    Content whole = PrefixContent(continuation, policy, size);
    whole.prompt_length = size;
    whole.ids.insert(whole.ids.end(), continuation.given.begin(), continuation.given.end());
    const auto score = ScoreWhole(whole, kHeads, NewDevice(300).get());
    ASSERT_TRUE(score.ok()) << score.status();
    const auto split = ScoreSplit(whole, kHeads, size - 1, 300, "model", NewDevice(300).get(), NewDevice(300).get());
    ASSERT_TRUE(split.ok()) << split.status();
    for (const PrefixState& state : *states) {
      const auto continued =
          Continue(state, {&continuation}, {.policy = policy, .heads = kHeads, .fingerprint = "model", .batch = 4},
                   device.get());
      ASSERT_TRUE(continued.ok()) << continued.status();
      const Continued& result = continued->front();
      ASSERT_EQ(result.ids, continuation.given);
      ASSERT_EQ(result.logprobs.size(), continuation.given.size());
      ASSERT_EQ(result.state_bytes, split->segment_bytes);
      for (size_t i = 0; i < result.ids.size(); ++i) {
        ASSERT_NEAR(result.logprobs[i][result.ids[i]], score->logprobs[size - 1 + i], 1e-5) << i;
      }
    }
  }
}

TEST(ContinuationTest, AGreedyAnswerIsTheSameAloneAndInABatch) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    Policy policy;
    Continuation base = RandomGiven(random, &policy);
    base.given.clear();
    base.no_anchor_positions.clear();
    const uint32_t fork = random() % (LatestFork(policy, static_cast<uint32_t>(base.prompt.size())) + 1);
    const Policy& prefill = HasFullPrefill(policy) && policy.salient_millionths == 0 ? kFullAttention : policy;
    std::vector<Continuation> questions;
    for (int i = 0; i < 7; ++i) {
      Continuation& question = questions.emplace_back(base);
      for (uint32_t k = random() % 10; k > 0; --k) question.prompt.push_back(random() % kVocabulary);
      question.max_new = 1 + random() % 20;
    }
    std::vector<const Continuation*> all;
    for (const Continuation& question : questions) all.push_back(&question);
    const std::vector<uint32_t> end_ids = {3, 17};
    const auto device = NewDevice(30);
    const auto states = ComputePrefix(PrefixContent(base, prefill, fork), {fork}, kHeads, device.get());
    ASSERT_TRUE(states.ok()) << states.status();
    const auto together = Continue(states->front(), all,
                                   {.policy = policy, .heads = kHeads, .end_ids = end_ids, .batch = 3}, device.get());
    ASSERT_TRUE(together.ok()) << together.status();
    for (size_t i = 0; i < questions.size(); ++i) {
      const Continued& answer = (*together)[i];
      ASSERT_EQ(answer.ids.size(), answer.logprobs.size());
      ASSERT_LE(answer.ids.size(), questions[i].max_new);
      // The engine's own scoring of the answer: each id is the likeliest, and nothing follows an end.
      Content whole = PrefixContent(questions[i], policy, questions[i].prompt.size());
      whole.prompt_length = static_cast<uint32_t>(questions[i].prompt.size());
      whole.ids.insert(whole.ids.end(), answer.ids.begin(), answer.ids.end());
      const Score score = ScoreSteps(whole, kHeads, NewDevice(300).get()).value();
      for (size_t k = 0; k < answer.ids.size(); ++k) {
        ASSERT_NEAR(answer.logprobs[k][answer.ids[k]], score.logprobs[questions[i].prompt.size() - 1 + k], 1e-5);
        ASSERT_EQ(answer.ids[k], Likeliest(answer.logprobs[k]));
        const bool ends = answer.ids[k] == 3 || answer.ids[k] == 17;
        ASSERT_EQ(k + 1 == answer.ids.size(), ends || k + 1 == questions[i].max_new);
      }
    }
  }
}

TEST(ContinuationTest, TooFewPagesMakeSmallerBatchesOrAnAnswer) {
  const Continuation question{.prompt = std::vector<uint32_t>(100, 7), .max_new = 5};
  const std::vector<const Continuation*> three = {&question, &question, &question};
  const PrefixState nothing;
  const auto plenty = Continue(nothing, three, {.policy = kFullAttention}, NewDevice(64).get());
  const auto enough_for_one = Continue(nothing, three, {.policy = kFullAttention}, NewDevice(64, 6).get());
  ASSERT_TRUE(plenty.ok() && enough_for_one.ok()) << enough_for_one.status();
  for (int i = 0; i < 3; ++i) EXPECT_EQ((*plenty)[i].ids, (*enough_for_one)[i].ids);
  EXPECT_EQ(Continue(nothing, three, {.policy = kFullAttention}, NewDevice(64, 2).get()).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kedge
