#include "common/anchor/choose_sequences.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::IsEmpty;

// A hundred sequences of twenty rows, no two of one text; the last row of the prompt is row 2000, and the window begins
// with row 1979.
Content Prompt(uint32_t budget, uint32_t most = 0) {
  Content content{.ids = std::vector<uint32_t>(2001), .prompt_length = 2001};
  for (uint32_t i = 0; i < 2001; ++i) content.ids[i] = i % 20 == 19 ? 9 : 100 + i;
  content.policy = {.anchors = {9}, .keep_anchors = false, .sinks = 4, .recent = 22, .prefill_full = true};
  content.policy.salient_millionths = budget * 1000;
  content.policy.most_salient_millionths = most * 1000;
  return content;
}

// Scores of some of the sequences; the others have none.
std::vector<PositionRange> Chosen(const Content& content, std::vector<std::pair<size_t, uint64_t>> scores) {
  std::vector<uint64_t> all(100);
  for (const auto& [sequence, score] : scores) all[sequence] = score;
  return ChooseSequences(content, OutlinePrompt(content), all);
}

std::vector<PositionRange> Sequences(std::vector<uint32_t> numbers) {
  std::vector<PositionRange> ranges;
  for (uint32_t number : numbers) ranges.push_back({20 * number, 20 * number + 20});
  return ranges;
}

TEST(ChooseSequences, ByScoreAndThenTheLatest) {
  // 60 rows for what matters, joined where they are neighbours; then number 98, of which 19 rows lie before the
  // window, and those before it.
  EXPECT_EQ(Chosen(Prompt(60), {{90, 3200}, {30, 900}, {31, 100}, {50, 99}}),
            (std::vector<PositionRange>{{600, 640}, {1800, 1820}, {1920, 1980}}));
}

TEST(ChooseSequences, FurtherQuestionsOfTheLastMessageHaveRoomOfTheirOwn) {
  Content content = Prompt(60);
  content.turn_begin = 1500;
  const std::vector<std::pair<size_t, uint64_t>> scores = {{20, 900}, {30, 800}, {40, 700}, {50, 600},
                                                           {60, 500}, {70, 400}, {80, 300}};
  EXPECT_EQ(Chosen(content, scores), Sequences({20, 30, 40, 50, 60, 70}));
  content.question_marks = {1600};
  EXPECT_EQ(Chosen(content, scores), Sequences({20, 30, 40, 50, 60, 70}));
  content.question_marks = {1600, 1620, 1640};
  EXPECT_EQ(Chosen(content, scores), Sequences({20, 30, 40, 50, 60, 70, 80}));
}

TEST(ChooseSequences, PassesOverWhatDoesNotFit) {
  Content content = Prompt(60);
  content.pinned = {{560, 570}};
  EXPECT_EQ(Chosen(content, {{90, 900}, {20, 800}, {22, 790}, {24, 780}, {26, 770}, {30, 760}, {28, 750}}),
            Sequences({20, 22, 24, 26, 30, 90}));
  content.policy.salient_millionths = 65000;  // number 28 is charged for ten rows
  EXPECT_EQ(Chosen(content, {{90, 900}, {20, 800}, {22, 790}, {24, 780}, {26, 770}, {30, 760}, {32, 755}, {28, 750}}),
            Sequences({20, 22, 24, 26, 28, 30, 90}));
}

TEST(ChooseSequences, AFactSaidTwiceDoesNotCrowdOutAnother) {
  Content content = Prompt(60);
  for (const uint32_t copy : {21, 22, 23, 24, 25}) {
    std::copy_n(content.ids.begin() + 400, 20, content.ids.begin() + copy * 20);
  }
  EXPECT_EQ(Chosen(content, {{20, 1000}, {21, 999}, {22, 998}, {23, 997}, {24, 996}, {25, 995}, {60, 100}, {62, 99}}),
            (std::vector<PositionRange>{{400, 420}, {1200, 1220}, {1240, 1260}, {1920, 1980}}));
}

TEST(ChooseSequences, TheSystemMessageHasAThirdAndThenCompetes) {
  Content content = Prompt(90);
  content.system = {{206, 320}};
  // Numbers 10, 11 and 12 by right, 15 by its score.
  EXPECT_EQ(Chosen(content, {{15, 500}, {60, 1000}, {62, 900}}),
            (std::vector<PositionRange>{{200, 260}, {300, 320}, {1200, 1220}, {1240, 1260}, {1920, 1980}}));
}

TEST(ChooseSequences, AnAdaptiveBudgetGrowsUntilNineTenthsAreHeld) {
  std::vector<std::pair<size_t, uint64_t>> flat;
  for (size_t i = 10; i < 30; ++i) flat.push_back({2 * i, 50});
  const std::vector<PositionRange> spread = Chosen(Prompt(60, 150), flat);
  EXPECT_EQ(spread.size(), 15u);
  EXPECT_EQ(Chosen(Prompt(60, 300), flat).size(), 18u) << "nine tenths of twenty";
  const std::vector<PositionRange> focused = Chosen(Prompt(60, 150), {{20, 900}, {22, 100}});
  EXPECT_EQ(focused, (std::vector<PositionRange>{{400, 420}, {440, 460}, {1900, 1980}})) << "no more than the least";
}

TEST(ChooseSequences, TiesGoToTheEarlierAndWhatIsKeptAnywayIsNotChosen) {
  std::vector<std::pair<size_t, uint64_t>> all;
  for (size_t i = 0; i < 100; ++i) all.push_back({i, 70});
  EXPECT_EQ(Chosen(Prompt(60), all), (std::vector<PositionRange>{{0, 120}})) << "the first is charged for sixteen rows";
  EXPECT_EQ(Chosen(Prompt(1000), all), (std::vector<PositionRange>{{0, 1980}}));
}

TEST(ChooseSequences, WithoutScoresTheLatestAreTaken) {
  EXPECT_EQ(Chosen(Prompt(60), {}), (std::vector<PositionRange>{{1860, 1980}}));
  Content two = Prompt(60);
  two.prompt_length = 2;
  EXPECT_THAT(ChooseSequences(two, OutlinePrompt(two), {0}), IsEmpty());
}

}  // namespace
}  // namespace kedge
