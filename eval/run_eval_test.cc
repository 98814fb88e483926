#include "eval/run_eval.h"

#include <set>

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
  for (uint32_t i = 0; i < 200; ++i) ids.push_back((i * i + 3) % kVocabulary);
  std::vector<EvalText> texts(2);
  texts[0].name = "text";
  for (uint32_t length : {60, 120}) {
    texts[0].cases.push_back({.form = "text",
                              .length = length,
                              .continuation = {.prompt = {ids.begin(), ids.begin() + length},
                                               .given = {ids.begin() + length, ids.begin() + length + 50}},
                              .fork = length - 10});
  }
  texts[1].name = "recall";
  for (uint32_t question : {5, 6}) {
    EvalCase made{.form = question == 5 ? "single" : "pair", .length = 100, .answers = {"7"}, .fork = 90};
    made.continuation = {.prompt = {ids.begin(), ids.begin() + 100}, .max_new = 12};
    made.continuation.prompt.push_back(question);
    texts[1].cases.push_back(made);
  }
  return texts;
}

std::vector<EvalPolicy> Policies() {
  return {{"full", {.recent = Policy::kAll}},
          {"window", {.anchors = {3, 4}, .sinks = 4, .recent = 16, .view = Policy::View::kAll}},
          {"wide", {.sinks = 4, .recent = 500}},
          {"salient",
           {.anchors = {3, 4},
            .keep_anchors = false,
            .sinks = 4,
            .recent = 16,
            .view = Policy::View::kAll,
            .prefill_full = true,
            .salient_millionths = 200000,
            .write_full = true}}};
}

class RunEvalTest : public testing::Test {
 protected:
  absl::Status Run(const std::vector<EvalPolicy>& policies, EvalResults* results, int save_limit = 1000) {
    started_.clear();
    int saves = 0;
    const EvalHooks hooks{.text_of = [](absl::Span<const uint32_t> ids) { return absl::StrJoin(ids, " "); },
                          .save =
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
    const EvalOptions options{
        .policies = policies, .heads = {.retrieval = {{0, 0}, {1, 0}}}, .end_ids = {0}, .batch = 4};
    return RunEval(Texts(), options, hooks, &device, results);
  }

  std::vector<std::string> started_;
  uint64_t last_done_ = 0;
};

TEST_F(RunEvalTest, FullAttentionAgreesWithItselfAndAWindowDoesNot) {
  EvalResults results;
  ASSERT_TRUE(Run(Policies(), &results).ok());
  EXPECT_EQ(results.records.size(), 4u * 4);
  auto sum = [&](const char* policy) { return results.Sum(policy, [](const EvalRecord&) { return true; }); };
  const Measure full = sum("full"), window = sum("window"), wide = sum("wide");
  EXPECT_EQ(full.cases, 4u);
  EXPECT_EQ(full.given, 100u);
  EXPECT_EQ(full.agreeing, full.positions);
  EXPECT_EQ(full.same, 2u);
  EXPECT_NEAR(full.divergence, 0, 1e-4);
  EXPECT_EQ(full.kept_rows, full.full_rows);
  EXPECT_GT(full.bytes, 2 * full.full_bytes);  // rows in f32, and headers: told of rows in f16

  EXPECT_LT(window.agreeing, window.positions);  // hashes: a row less changes everything
  EXPECT_GT(window.divergence, 1);
  EXPECT_LT(window.kept_rows, window.full_rows / 2);
  EXPECT_EQ(window.full_rows, full.full_rows);

  const Measure salient = sum("salient");
  EXPECT_LT(salient.agreeing, salient.positions);
  EXPECT_GT(salient.kept_rows, window.kept_rows / 2);
  EXPECT_LT(salient.kept_rows, salient.full_rows);

  EXPECT_EQ(wide.agreeing, wide.positions);  // sees everything, by another policy
  EXPECT_EQ(wide.surprise, full.surprise);
}

TEST_F(RunEvalTest, ASecondRunComputesWhatIsMissingAlone) {
  EvalResults whole;
  ASSERT_TRUE(Run(Policies(), &whole).ok());
  EXPECT_THAT(started_, testing::ElementsAre("text, full attention", "text, full", "text, window", "text, wide",
                                             "text, salient", "recall, full attention", "recall, full",
                                             "recall, window", "recall, wide", "recall, salient"));
  EvalResults results;
  EXPECT_EQ(Run(Policies(), &results, 4).code(), absl::StatusCode::kCancelled);  // after the fifth
  ASSERT_TRUE(Run(Policies(), &results).ok());
  EXPECT_THAT(started_,
              testing::ElementsAre("recall, full attention", "recall, window", "recall, wide", "recall, salient"));
  EXPECT_EQ(results.records, whole.records);
  ASSERT_TRUE(Run(Policies(), &results).ok());
  EXPECT_TRUE(started_.empty());
  EXPECT_EQ(results.records, whole.records);
}

}  // namespace
}  // namespace kedge
