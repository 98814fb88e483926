// What policies take of rows that were computed once is what each computes alone, to the bit.
#include "eval/computed_prompt.h"

#include <algorithm>
#include <random>

#include "common/engine/step.h"
#include "common/engine/testing.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "eval/agreement.h"
#include "eval/answers.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;

const SalienceHeads kHeads = {.pointers = {{1, 0}}, .retrieval = {{0, 0}}};

using Logits = std::vector<std::vector<float>>;

std::unique_ptr<StepDevice> NewDevice(uint32_t max_rows, uint32_t num_pages = 800) {
  return std::make_unique<DeferredDevice>(std::make_unique<HashDevice>(
      HashDeviceOptions{.num_pages = num_pages, .max_rows = max_rows, .vocab_size = kVocabulary}));
}

// A random content as a prompt and a given text.
Continuation RandomContinuation(std::mt19937& random, Policy* policy) {
  Content content;
  do {
    content = RandomContent(kVocabulary, 200, random);
  } while (content.ids.size() < 3);
  *policy = content.policy;
  const uint32_t prompt = 2 + random() % (content.ids.size() - 2);
  Continuation continuation{.prompt = {content.ids.begin(), content.ids.begin() + prompt},
                            .turn_begin = static_cast<uint32_t>(random() % prompt),
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

Content PrefixContent(const Continuation& continuation, const Policy& policy, uint32_t end) {
  Content content{.ids = {continuation.prompt.begin(), continuation.prompt.begin() + end},
                  .prompt_length = end + 1};  // it goes on
  SetRows(continuation, policy, &content);
  return content;
}

// Computes everything itself, row by row from the first: the logits of row n-1 and those that follow, and the content
// with the choice that was made.
Logits Alone(const Continuation& continuation, const Policy& policy, Content* content) {
  const std::unique_ptr<StepDevice> device = NewDevice(300);
  PagePool pool(device->num_pages());
  *content = PromptContent(continuation, policy);
  Content whole = *content;
  whole.ids.insert(whole.ids.end(), continuation.given.begin(), continuation.given.end() - 1);
  Sequence sequence(whole, pool.Reserve(PagesFor(whole, 0, 300, 0)).value(), &kHeads);
  Logits logits;
  while (sequence.pending() > 0) {
    const uint32_t first = sequence.position();
    const Slice slice{
        .sequence = &sequence, .rows = std::min(1 + first % 7, sequence.ready()), .logits = WantedLogits::kAll};
    const auto step = LaunchStep({slice}, device.get());
    EXPECT_TRUE(FinishStep({slice}, step.get(), device.get()).ok());
    for (uint32_t row = first; row < sequence.position(); ++row) {
      if (row + 1 < continuation.prompt.size()) continue;
      const auto span = step->Logits(row - first);
      logits.emplace_back(span.begin(), span.end());
    }
    sequence.DropUnseen();
  }
  content->salient = sequence.content().salient;
  return logits;
}

// Policies that share rows with the given one: other budgets, windows and sinks, other generated rows, full attention.
std::vector<Policy> Sharing(const Policy& policy, std::mt19937& random) {
  std::vector<Policy> policies = {policy};
  if (!HasFullPrefill(policy)) return policies;
  policies.push_back(kFullAttention);
  if (!policy.prefill_full) return policies;
  Policy smaller = policy, reduced = policy;
  smaller.salient_millionths /= 3;
  smaller.sinks = random() % 5;
  reduced.salient_millionths = 0;
  reduced.recent = 1 + random() % 20;
  policies.push_back(smaller);
  policies.push_back(reduced);
  std::shuffle(policies.begin(), policies.end(), random);
  return policies;
}

TEST(ComputedPromptTest, EachPolicyGoesOnAsIfAlone) {
  int choosing = 0;
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    Policy policy;
    const Continuation continuation = RandomContinuation(random, &policy);
    SCOPED_TRACE(CanonicalPolicy(policy));
    const std::vector<Policy> policies = Sharing(policy, random);
    const Policy computing = ComputingPolicy(policies);
    const auto device = NewDevice(1 + random() % 60);
    const uint32_t size = static_cast<uint32_t>(continuation.prompt.size());
    const uint32_t fork = random() % (LatestFork(computing, size) + 1);
    // The prefix goes on behind the fork: that must not have cost it anything.
    const uint32_t later = fork + random() % (LatestFork(computing, size) + 1 - fork);
    const auto states =
        ComputePrefix(PrefixContent(continuation, computing, later), {fork, later}, kHeads, device.get());
    ASSERT_TRUE(states.ok()) << states.status();
    PagePool pool(device->num_pages());
    const Continuation* const twice[] = {&continuation, &continuation};
    const auto prompts = ComputePrompts(states->front(), twice, policies, kHeads, &pool, device.get());
    ASSERT_TRUE(prompts.ok()) << prompts.status();
    ASSERT_EQ(prompts->size(), 2u);

    std::vector<AnswerJob> jobs;
    std::vector<Logits> given(policies.size());
    std::vector<std::vector<uint32_t>> answers(policies.size());
    for (size_t i = 0; i < policies.size(); ++i) {
      const ComputedPrompt& prompt = (*prompts)[i % 2];
      auto begin = [&, i](const Following& following) {
        return [&, following] { return TakeState(prompt, following, &pool, device.get()); };
      };
      jobs.push_back({.begin = begin({.content = prompt.contents[i], .given = continuation.given}),
                      .given = continuation.given,
                      .score = [&, i](size_t row, absl::Span<const float> logits) {
                        ASSERT_EQ(row, given[i].size());
                        given[i].emplace_back(logits.begin(), logits.end());
                      }});
      jobs.push_back({.begin = begin({.content = prompt.contents[i], .max_new = 12}),
                      .max_new = 12,
                      .answered = [&, i](std::vector<uint32_t> ids) { answers[i] = std::move(ids); }});
    }
    ASSERT_TRUE(RunAnswers(jobs, {3, 17}, 1 + random() % 8, device.get()).ok());

    for (size_t i = 0; i < policies.size(); ++i) {
      SCOPED_TRACE(CanonicalPolicy(policies[i]));
      Content alone;
      ASSERT_EQ(given[i], Alone(continuation, policies[i], &alone));
      ASSERT_EQ((*prompts)[i % 2].contents[i].salient, alone.salient);
      choosing += alone.salient.has_value();
      // Each id of the answer is the likeliest, and nothing follows an end.
      Continuation answered = continuation;
      answered.given = answers[i];
      const Logits logits = Alone(answered, policies[i], &alone);
      ASSERT_FALSE(answers[i].empty());
      for (size_t k = 0; k < answers[i].size(); ++k) {
        ASSERT_EQ(answers[i][k], Likeliest(logits[k]));
        const bool ends = answers[i][k] == 3 || answers[i][k] == 17;
        ASSERT_EQ(k + 1 == answers[i].size(), ends || k + 1 == 12);
      }
    }
  }
  EXPECT_GT(choosing, 50);
}

TEST(ComputedPromptTest, PoliciesWithOtherSequencesOrMasksHaveTheirOwnRows) {
  const Policy salient{
      .text_anchors = true, .longest = 48, .recent = 32, .prefill_full = true, .salient_millionths = 70000};
  Policy longer = salient, larger = salient, window{.sinks = 4, .recent = 16};
  longer.longest = 60;
  larger.salient_millionths = 100000;
  EXPECT_TRUE(ShareRows(salient, larger));
  EXPECT_TRUE(ShareRows(salient, kFullAttention));
  EXPECT_FALSE(ShareRows(salient, longer));
  EXPECT_FALSE(ShareRows(salient, window));
  EXPECT_TRUE(ShareRows(window, window));
  EXPECT_EQ(ComputingPolicy({kFullAttention, salient, larger}), salient);
  EXPECT_EQ(ComputingPolicy({}), kFullAttention);
}

TEST(ComputedPromptTest, TheSizeIsThatOfTheSegment) {
  const Continuation continuation{.prompt = std::vector<uint32_t>(100, 7)};
  const auto device = NewDevice(64);
  const Policy window{.sinks = 4, .recent = 16};
  const StateSize size = SizeOfState(PromptContent(continuation, window), 0, "model", *device);
  EXPECT_EQ(size.rows, 4u + 15);
  const uint64_t values = size.rows * device->row_shape().row_bytes();
  EXPECT_GT(size.bytes, values);
  EXPECT_LT(size.bytes, values + 400);
  const StateSize rounded = SizeOfState(PromptContent(continuation, window), 4, "model", *device);
  EXPECT_EQ(rounded.rows, size.rows);
  EXPECT_EQ(rounded.bytes - RoundedRowBytes(device->row_shape(), 4, size.rows), size.bytes - values);
}

TEST(ComputedPromptTest, TooFewPagesMakeSmallerBatchesOrAnAnswer) {
  const Continuation question{.prompt = std::vector<uint32_t>(100, 7)};
  const std::vector<const Continuation*> four(4, &question);
  auto answer = [&](uint32_t num_pages, size_t* num_prompts) -> absl::StatusOr<std::vector<std::vector<uint32_t>>> {
    const auto device = NewDevice(64, num_pages);
    PagePool pool(num_pages);
    const auto prompts = ComputePrompts(PrefixState(), four, {kFullAttention}, kHeads, &pool, device.get());
    if (!prompts.ok()) return prompts.status();
    *num_prompts = prompts->size();
    std::vector<std::vector<uint32_t>> answers;
    std::vector<AnswerJob> jobs;
    for (int i = 0; i < 3; ++i) {
      jobs.push_back({.begin =
                          [&] {
                            return TakeState((*prompts)[0], {.content = (*prompts)[0].contents[0], .max_new = 5}, &pool,
                                             device.get());
                          },
                      .max_new = 5,
                      .answered = [&](std::vector<uint32_t> ids) { answers.push_back(std::move(ids)); }});
    }
    const absl::Status status = RunAnswers(jobs, {}, 3, device.get());
    if (!status.ok()) return status;
    return answers;
  };
  size_t many = 0, few = 0, none = 0;
  const auto plenty = answer(400, &many), enough_for_one = answer(16, &few);
  ASSERT_TRUE(plenty.ok() && enough_for_one.ok()) << enough_for_one.status();
  EXPECT_EQ(many, 4u);
  EXPECT_LT(few, 4u);
  EXPECT_EQ(*plenty, *enough_for_one);
  EXPECT_EQ(answer(2, &none).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(answer(8, &none).status().code(), absl::StatusCode::kResourceExhausted);  // a prompt, and no answer
}

}  // namespace
}  // namespace kedge
