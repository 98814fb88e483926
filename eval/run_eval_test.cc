#include "eval/run_eval.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/kernels/hash_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;

// Two contexts of one text, and two questions after one beginning.
std::vector<EvalText> Texts() {
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < 300; ++i) ids.push_back((i * i + 3) % kVocabulary);
  std::vector<EvalText> texts(2);
  texts[0].name = "text";
  for (uint32_t length : {160, 220}) {
    texts[0].cases.push_back({.form = "text",
                              .length = length,
                              .continuation = {.prompt = {ids.begin(), ids.begin() + length},
                                               .given = {ids.begin() + length, ids.begin() + length + 50}},
                              .fork = length - 10});
  }
  texts[1].name = "recall";
  for (uint32_t question : {5, 6}) {
    EvalCase made{.form = question == 5 ? "single" : "pair",
                  .length = 200,
                  .check = {.answers = {"7"}},
                  .expected = "7",
                  .fork = 190};
    made.continuation = {.prompt = {ids.begin(), ids.begin() + 200}, .max_new = 12};
    made.continuation.prompt.push_back(question);
    texts[1].cases.push_back(made);
  }
  return texts;
}

std::vector<EvalPolicy> Policies() {
  const Policy salient{.anchors = {3, 4},
                       .keep_anchors = false,
                       .sinks = 4,
                       .recent = 16,
                       .view = Policy::View::kAll,
                       .prefill_full = true,
                       .salient_millionths = 200000,
                       .write_full = true};
  Policy others = salient;
  others.longest = 2;
  return {{"full", {.recent = Policy::kAll}},
          {"window", {.anchors = {3, 4}, .sinks = 4, .recent = 16, .view = Policy::View::kAll}},
          {"wide", {.sinks = 4, .recent = 500}},
          {"salient", salient},
          {"salient@random", salient, RowChoice::kRandom},
          {"salient@kvzip", salient, RowChoice::kKvZip},
          {"full@int8", {.recent = Policy::kAll}, RowChoice::kOwn, 8},
          {"others", others}};
}

class RunEvalTest : public testing::Test {
 protected:
  absl::Status Run(const std::vector<EvalPolicy>& policies, EvalResults* results, int save_limit = 1000) {
    started_.clear();
    int saves = 0;
    const EvalHooks hooks{.save =
                              [&](const EvalResults&) {
                                return ++saves > save_limit ? absl::CancelledError("enough") : absl::OkStatus();
                              },
                          .progress =
                              [&](const std::string& what, uint64_t done, uint64_t all) {
                                started_.push_back(what);
                                EXPECT_GE(done, last_done_);
                                EXPECT_LE(done, all);
                                last_done_ = done;
                              }};
    last_done_ = 0;
    HashDevice device({.num_pages = 200, .max_rows = 32, .vocab_size = kVocabulary});
    const MeasureOptions options{.heads = {.retrieval = {{0, 0}, {1, 0}}},
                                 .num_heads = 2,
                                 .end_ids = {0},
                                 .text_of = [](absl::Span<const uint32_t> ids) { return absl::StrJoin(ids, " "); },
                                 .ids_of =
                                     [](absl::string_view) {
                                       return std::vector<uint32_t>{7, 8, 9};
                                     },
                                 .batch = 4};
    return RunEval(Texts(), policies, options, hooks, &device, results);
  }

  std::vector<std::string> started_;
  uint64_t last_done_ = 0;
};

Measure SumOf(const EvalResults& results, const std::string& policy, absl::string_view text) {
  for (uint32_t i = 0; i < results.policies.size(); ++i) {
    if (results.policies[i].name != policy) continue;
    return results.Sum(i, [&](const MeasuredCase& made) { return text.empty() || made.text == text; });
  }
  return {};
}

TEST_F(RunEvalTest, FullAttentionAgreesWithItselfAndAWindowDoesNot) {
  EvalResults results;
  ASSERT_TRUE(Run(Policies(), &results).ok());
  EXPECT_EQ(results.cases.size(), 4u);
  EXPECT_EQ(results.records.size(), 8u * 4);
  auto sum = [&](const char* policy) { return SumOf(results, policy, ""); };
  const Measure full = sum("full"), window = sum("window"), wide = sum("wide");
  EXPECT_EQ(full.cases, 4u);
  EXPECT_EQ(full.tokens, 100u + 2 * 3);  // given, and of expected answers
  EXPECT_EQ(full.agreeing, full.tokens);
  EXPECT_EQ(full.same, 2u);
  EXPECT_NEAR(full.divergence, 0, 1e-4);
  EXPECT_EQ(full.rows, full.full_rows);
  EXPECT_GT(full.bytes, full.rows * HashDevice({}).row_shape().row_bytes());  // headers

  EXPECT_LT(window.agreeing, window.tokens);  // hashes: a row less changes everything
  EXPECT_GT(window.divergence, 1);
  EXPECT_LT(window.rows, window.full_rows / 2);
  EXPECT_EQ(window.full_rows, full.full_rows);

  const Measure salient = sum("salient"), random = sum("salient@random"), others = sum("others");
  EXPECT_LT(salient.agreeing, salient.tokens);
  EXPECT_GT(salient.rows, window.rows / 2);
  EXPECT_LT(salient.rows, salient.full_rows);
  EXPECT_LE(random.rows, salient.rows);
  EXPECT_GT(random.rows, salient.rows / 2);
  EXPECT_NE(random.loss, salient.loss);
  EXPECT_NE(others.loss, salient.loss);  // other sequences
  EXPECT_EQ(sum("salient@kvzip").rows, salient.rows);
  EXPECT_NE(sum("salient@kvzip").loss, salient.loss);

  EXPECT_EQ(wide.agreeing, wide.tokens);  // sees everything, by another policy
  EXPECT_EQ(wide.loss, full.loss);
  EXPECT_EQ(sum("full@int8").rows, full.rows);
  EXPECT_LT(sum("full@int8").bytes, full.bytes);
}

TEST_F(RunEvalTest, OneComputationOrManyAreTheSame) {
  EvalResults together;
  ASSERT_TRUE(Run(Policies(), &together).ok());
  for (const EvalPolicy& policy : Policies()) {
    EvalResults alone;
    ASSERT_TRUE(Run({policy}, &alone).ok());
    for (const char* text : {"text", "recall"}) {
      const Measure a = SumOf(alone, policy.text, text), b = SumOf(together, policy.text, text);
      EXPECT_EQ(a.loss, b.loss) << policy.text;
      EXPECT_EQ(a.divergence, b.divergence) << policy.text;
      EXPECT_EQ(a.same, b.same) << policy.text;
      EXPECT_EQ(a.bytes, b.bytes) << policy.text;
    }
  }
}

TEST_F(RunEvalTest, ASecondRunComputesWhatIsMissingAlone) {
  EvalResults whole;
  ASSERT_TRUE(Run(Policies(), &whole).ok());
  EXPECT_THAT(started_,
              testing::ElementsAre("text, full and 4 more", "text, window", "text, wide", "text, others",
                                   "recall, full and 4 more", "recall, window", "recall, wide", "recall, others"));
  EvalResults results;
  EXPECT_EQ(Run(Policies(), &results, 0).code(), absl::StatusCode::kCancelled);  // after the first text
  EXPECT_EQ(results.records.size(), 8u * 2);
  ASSERT_TRUE(Run({Policies()[0], Policies()[1]}, &results).ok());
  EXPECT_THAT(started_, testing::ElementsAre("recall, full", "recall, window"));
  ASSERT_TRUE(Run({Policies()[2]}, &results).ok());
  EXPECT_THAT(started_, testing::ElementsAre("recall, full attention", "recall, wide"));
  ASSERT_TRUE(Run(Policies(), &results).ok());
  EXPECT_THAT(started_, testing::ElementsAre("recall, salient and 3 more", "recall, others"));
  EXPECT_EQ(results.records.size(), whole.records.size());
  for (const EvalRecord& record : whole.records) {
    EXPECT_EQ(std::count(results.records.begin(), results.records.end(), record), 1);
  }
  ASSERT_TRUE(Run(Policies(), &results).ok());
  EXPECT_TRUE(started_.empty());
}

}  // namespace
}  // namespace kedge
