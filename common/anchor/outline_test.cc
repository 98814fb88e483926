#include "common/anchor/outline.h"

#include "common/anchor/policy.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;

Content Prompt() {
  Content content{.ids = {1, 1, 9, 1, 1, 1, 9, 1, 1, 1}, .prompt_length = 10};
  content.policy = {.anchors = {9}, .keep_anchors = false, .sinks = 1, .recent = 2, .prefill_full = true};
  content.policy.salient_millionths = 400000;
  return content;
}

TEST(Outline, HasAllRowsButTheLastInSequences) {
  const PromptOutline outline = OutlinePrompt(Prompt());
  EXPECT_THAT(outline.sequences, ElementsAre(PositionRange{0, 3}, PositionRange{3, 7}, PositionRange{7, 9}));
  EXPECT_EQ(outline.window_begin, 7u);  // the open sequence is longer than `recent`
}

TEST(Outline, ChargesRowsThatNothingElseKeeps) {
  Content content = Prompt();
  EXPECT_EQ(OutlinePrompt(content).Charge({0, 3}), 2u);  // one is a sink
  EXPECT_EQ(OutlinePrompt(content).Charge({3, 7}), 4u);
  EXPECT_EQ(OutlinePrompt(content).Charge({7, 9}), 0u);  // the window
  content.pinned = {{4, 6}};
  EXPECT_EQ(OutlinePrompt(content).Charge({3, 7}), 2u);
  content.policy.keep_anchors = true;
  EXPECT_EQ(OutlinePrompt(content).Charge({3, 7}), 1u);
  content.salient = {{{3, 7}}};  // what was chosen is still charged
  EXPECT_EQ(OutlinePrompt(content).Charge({3, 7}), 1u);
}

TEST(Outline, IsOfTheRowsThatAreThere) {
  Content content = Prompt();
  content.ids.pop_back();  // as in a request for State(n-1)
  EXPECT_EQ(OutlinePrompt(content).sequences.size(), 3u);
  content.ids.resize(1);
  content.prompt_length = 1;
  EXPECT_TRUE(OutlinePrompt(content).sequences.empty());
}

TEST(SalientBudget, IsAShareOfThePromptRoundedDownWithAFloor) {
  Content content = Prompt();
  const auto budget = [&](uint32_t length) {
    content.prompt_length = length;
    return SalientBudget(content);
  };
  EXPECT_EQ(budget(1000), (RowBudget{400, 400}));
  EXPECT_EQ(budget(999), (RowBudget{399, 399}));
  EXPECT_EQ(budget(10), (RowBudget{kLeastSalientRows, kLeastSalientRows}));
  content.policy.most_salient_millionths = 600000;
  EXPECT_EQ(budget(1000), (RowBudget{400, 600}));
  EXPECT_EQ(budget(200), (RowBudget{kLeastSalientRows, 120}));
  content.policy = {};
  EXPECT_EQ(budget(1000), RowBudget());
}

TEST(SalientBudget, HasRoomForEachFurtherQuestionOfTheLastMessage) {
  Content content = Prompt();
  content.prompt_length = 1000;
  content.turn_begin = 500;
  const auto further = [&](std::vector<uint32_t> marks) {
    content.question_marks = std::move(marks);
    const RowBudget budget = SalientBudget(content);
    EXPECT_EQ(budget.least, budget.most);
    return (budget.least - 400.0) / kRowsOfAQuestion;
  };
  EXPECT_EQ(further({}), 0);
  EXPECT_EQ(further({510}), 0);
  EXPECT_EQ(further({100, 200, 499, 510}), 0);  // of earlier messages
  EXPECT_EQ(further({510, 511, 513}), 0);       // "???"
  EXPECT_EQ(further({510, 511, 512, 513, 514, 515, 516, 517, 530}), 1);
  EXPECT_EQ(further({500, 504, 511, 530}), 3);
  EXPECT_EQ(further({500, 510, 520, 530, 540, 550, 560, 570}), 7);
  EXPECT_EQ(further({500, 510, 520, 530, 540, 550, 560, 570, 580, 590}), 7);
  content.policy.most_salient_millionths = 600000;
  EXPECT_EQ(SalientBudget(content), (RowBudget{400 + 7 * kRowsOfAQuestion, 600 + 7 * kRowsOfAQuestion}));
  content.policy = {};
  EXPECT_EQ(SalientBudget(content), RowBudget());
}

TEST(AdaptiveRows, AreThoseBeyondTheLeastOfAnAdaptiveBudget) {
  Content content{.prompt_length = 1000, .policy = ParsePolicy("salient,salient=0.1-0.3", {}).value()};
  for (uint32_t i = 0; i < 1000; ++i) content.ids.push_back(i);
  for (uint32_t i = 9; i < 1000; i += 10) content.sequence_ends.push_back(i);
  EXPECT_EQ(AdaptiveRows(content), 0u);  // nothing was chosen yet
  content.salient = std::vector<PositionRange>{{0, 10}, {100, 190}};
  const uint32_t sinks = content.policy.sinks;  // kept in any case
  EXPECT_EQ(AdaptiveRows(content), 0u);
  content.salient->push_back({300, 340});
  EXPECT_EQ(AdaptiveRows(content), 40 - sinks);
  content.policy.most_salient_millionths = 0;
  EXPECT_EQ(AdaptiveRows(content), 0u);
}

}  // namespace
}  // namespace kedge
