#include "common/anchor/salience.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Ten sequences of ten rows; the last row of the prompt is row 100.
Content Prompt(uint32_t budget) {
  Content content{.ids = std::vector<uint32_t>(101, 1), .prompt_length = 101};
  for (uint32_t i = 9; i < 100; i += 10) content.ids[i] = 9;
  content.policy = {.anchors = {9}, .keep_anchors = false, .sinks = 2, .recent = 12, .prefill_full = true};
  content.policy.salient_millionths = budget * 10000;
  return content;
}

const SalienceHeads kOne = {.retrieval = {{0, 0}}};
const SalienceHeads kTwo = {.retrieval = {{0, 0}, {1, 0}}};
const SalienceHeads kPointed = {.pointers = {{1, 0}}, .retrieval = {{0, 0}}};

// `amount` for each row of sequence number `sequence`, 1 for the others.
std::vector<uint32_t> Look(uint32_t position, uint32_t sequence, uint32_t amount) {
  std::vector<uint32_t> mass(position + 1, 1);
  for (uint32_t i = 10 * sequence; i < 10 * sequence + 10; ++i) mass[i] = amount;
  return mass;
}

TEST(Salience, ObservesTheLastRowsBeforeThePromptsLast) {
  EXPECT_EQ(Salience(Prompt(10), kOne).observed(), (PositionRange{0, 100}));
  Content large = Prompt(10);
  large.ids.resize(1000, 1);
  large.prompt_length = 1000;
  EXPECT_EQ(Salience(large, kOne).observed(), (PositionRange{999 - Salience::kObservedRows, 999}));
}

TEST(Salience, TakesSequencesInOrderOfTheirShareWithinTheBudget) {
  for (const auto& [budget, expected] : std::vector<std::pair<uint32_t, std::vector<PositionRange>>>{
           {9, {{0, 10}}},  // charged for 8 rows only: two are sinks
           {10, {{40, 50}}},
           {20, {{20, 30}, {40, 50}}},
           {30, {{20, 30}, {40, 60}}},
           {40, {{0, 10}, {20, 30}, {40, 60}}}}) {
    Salience salience(Prompt(budget), kOne);
    salience.Add(90, 0, Look(90, 4, 1000));
    salience.Add(91, 0, Look(91, 2, 500));
    salience.Add(92, 0, Look(92, 5, 50));
    EXPECT_EQ(salience.Choose(), expected) << budget;
  }
}

TEST(Salience, HeadsCountTheSameHoweverMuchTheyLookAtText) {
  Salience salience(Prompt(10), kTwo);
  salience.Add(90, 0, Look(90, 3, 100000));  // nearly all of head 0
  salience.Add(90, 1, Look(90, 6, 20));      // two thirds of head 1
  EXPECT_THAT(salience.Choose(), ElementsAre(PositionRange{30, 40}));
}

TEST(Salience, RowsCountByWhatThePointersSayOfTheirSequence) {
  Salience salience(Prompt(20), kPointed);
  salience.Add(99, 0, Look(99, 7, 1000));  // from the last rows: sequence 7 asks
  salience.Add(75, 1, Look(75, 3, 500));   // a row of it looks at 3
  salience.Add(55, 1, Look(55, 4, 9000));  // a row of another one looks at 4, and harder
  EXPECT_THAT(salience.Choose(), ElementsAre(PositionRange{30, 40}, PositionRange{70, 80}));
}

TEST(Salience, NeitherTheFirstNorTheOpenSequenceAsks) {
  Content content = Prompt(10);
  content.ids[99] = 1;  // the last sequence is open
  Salience salience(content, kPointed);
  salience.Add(99, 0, Look(99, 0, 100000));
  std::vector<uint32_t> open(99, 1);
  std::fill(open.begin() + 90, open.end(), 100000);
  salience.Add(98, 0, open);
  salience.Add(55, 1, Look(55, 3, 1000));
  EXPECT_THAT(salience.Choose(), ElementsAre(PositionRange{30, 40}));
}

TEST(Salience, TiesGoToTheEarlierSequence) {
  Salience salience(Prompt(10), kOne);
  salience.Add(90, 0, std::vector<uint32_t>(91, 7));
  EXPECT_THAT(salience.Choose(), ElementsAre(PositionRange{0, 10}));
}

TEST(Salience, WhatIsKeptAnywayIsNotChosen) {
  Salience salience(Prompt(100), kOne);
  salience.Add(99, 0, std::vector<uint32_t>(100, 7));
  // All but the window, which begins with row 89: its sequence is charged for the rest.
  EXPECT_THAT(salience.Choose(), ElementsAre(PositionRange{0, 90}));
}

TEST(Salience, WithoutMassAndWithoutRowsThereIsAnAnswer) {
  EXPECT_THAT(Salience(Prompt(10), kOne).Choose(), ElementsAre(PositionRange{0, 10}));
  EXPECT_THAT(Salience(Prompt(10), kPointed).Choose(), ElementsAre(PositionRange{0, 10}));
  EXPECT_THAT(Salience(Prompt(0), kOne).Choose(), IsEmpty());
  Content two = Prompt(50);
  two.prompt_length = 2;
  EXPECT_THAT(Salience(two, kOne).Choose(), IsEmpty());  // a sink
}

TEST(SalienceHeads, TextSurvives) {
  for (const SalienceHeads& heads : {kOne, kTwo, kPointed}) {
    EXPECT_EQ(ParseSalienceHeads(SalienceHeadsText(heads), 2, 1).value(), heads);
  }
  EXPECT_EQ(SalienceHeadsText(kPointed), "pointers=1.0,retrieval=0.0");
}

TEST(SalienceHeads, WhatIsNoListOfHeadsIsNamed) {
  const auto error = [](absl::string_view text) { return std::string(ParseSalienceHeads(text, 2, 3).status().message()); };
  EXPECT_THAT(error(""), HasSubstr("the form is"));
  EXPECT_THAT(error("pointers=1.0"), HasSubstr("retrieval: there are none"));
  EXPECT_THAT(error("retrieval=2.0"), HasSubstr("2.0: the model has 2 layers of 3 heads"));
  EXPECT_THAT(error("retrieval=1.3"), HasSubstr("1.3"));
  EXPECT_THAT(error("retrieval=1.2+1.2"), HasSubstr("1.2 is given twice"));
  EXPECT_THAT(error("retrieval=1"), HasSubstr("is not layer.head"));
  EXPECT_THAT(error("retrieval=1.0,retrieval=1.1"), HasSubstr("the form is"));
}

}  // namespace
}  // namespace kedge
