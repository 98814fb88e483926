#include "common/anchor/salience.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

// A hundred sequences of ten rows; the last row of the prompt is row 1000.
Content Prompt(uint32_t budget) {
  Content content{.ids = std::vector<uint32_t>(1001, 1), .prompt_length = 1001};
  for (uint32_t i = 9; i < 1000; i += 10) content.ids[i] = 9;
  content.policy = {.anchors = {9}, .keep_anchors = false, .sinks = 2, .recent = 12, .prefill_full = true};
  content.policy.salient_millionths = budget * 1000;
  return content;
}

const SalienceHeads kAll = {.retrieval = {{0, 0}, {1, 0}}};
const SalienceHeads kKnown = {.pointers = {{1, 0}}, .retrieval = {{0, 0}}};
const SalienceHeads kKnownTwo = {.pointers = {{1, 0}}, .retrieval = {{0, 0}, {0, 1}}};
const std::vector<uint32_t> kIds = Prompt(50).ids;
constexpr size_t kPointer = 0, kRetrieval = 1;

// `amount` in sequence number `sequence`, nothing elsewhere.
std::vector<uint32_t> Look(uint32_t position, uint32_t sequence, uint32_t amount) {
  std::vector<uint32_t> mass(position / 10 + 1);
  mass[sequence] = amount;
  return mass;
}

// Sequence 90 asks, with all the weight there is.
Salience Asked(uint32_t budget, const SalienceHeads& heads = kKnown) {
  Salience salience(Prompt(budget), heads);
  salience.Add(999, kPointer, Look(999, 90, 1000));
  return salience;
}

TEST(Salience, ObservesAllRowsOrWithoutKnownHeadsTheLast) {
  EXPECT_EQ(Salience(Prompt(50), kAll).observed(), (PositionRange{968, 1000}));
  EXPECT_EQ(Salience(Prompt(50), kKnown).observed(), (PositionRange{0, 1000}));
}

TEST(Salience, SumsAreWantedBySequence) {
  const std::vector<uint32_t> ends = Salience(Prompt(50), kKnown).SequenceEnds();
  ASSERT_EQ(ends.size(), 100u);
  for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(ends[i], 10 * (i + 1));
}

TEST(Salience, WhatAsksAndWhatItsRowsLookAtAndWhatStandsBesideThat) {
  Salience salience = Asked(55);
  salience.Add(905, kRetrieval, Look(905, 30, kMassOne / 2));
  salience.Add(906, kRetrieval, Look(906, 40, kMassOne / 5));
  salience.Add(955, kRetrieval, Look(955, 60, kMassOne));  // this row's sequence asks nothing
  const std::vector<uint64_t> scores = salience.Scores(kIds);
  EXPECT_EQ(scores[90], kMassOne * 8 / 10) << "eight of its ten rows count";
  EXPECT_EQ(scores[91], 0u) << "nothing stands beside a question";
  EXPECT_EQ(scores[30], kMassOne / 2);
  EXPECT_EQ(scores[31], kMassOne / 2 * 2 / 5);
  EXPECT_EQ(scores[32], kMassOne / 2 * 2 / 5 * 9 / 10);
  EXPECT_GT(scores[35], 0u);
  EXPECT_EQ(scores[36], 0u) << "more than 64 rows in all";
  EXPECT_EQ(scores[29], 0u);
  EXPECT_EQ(scores[40], kMassOne / 5);
  EXPECT_EQ(scores[60], 0u);
}

TEST(Salience, TheQuestionMayStandAnywhere) {
  Salience salience(Prompt(50), kKnown);
  salience.Add(405, kRetrieval, Look(405, 30, kMassOne / 2));
  salience.Add(998, kPointer, Look(998, 40, 1000));
  EXPECT_EQ(salience.Scores(kIds)[40], kMassOne * 8 / 10);
  EXPECT_EQ(salience.Scores(kIds)[30], kMassOne / 2);
}

TEST(Salience, OfSeveralQuestionsEachHasItsShare) {
  Salience salience(Prompt(50), kKnown);
  salience.Add(999, kPointer, Look(999, 90, 300));
  salience.Add(999, kPointer, Look(999, 50, 100));
  salience.Add(905, kRetrieval, Look(905, 30, kMassOne / 2));
  salience.Add(505, kRetrieval, Look(505, 20, kMassOne / 2));
  EXPECT_EQ(salience.Scores(kIds)[30], kMassOne / 2 * 3 / 4);
  EXPECT_EQ(salience.Scores(kIds)[20], kMassOne / 2 / 4);
}

TEST(Salience, InAChatOnlyItsUserAsks) {
  Content content = Prompt(50);
  content.turn_begin = 500;
  content.user = {{102, 118}, {500, 520}};  // then came a tool's result
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(999, 90, 900000));
  salience.Add(999, kPointer, Look(999, 11, 100));
  salience.Add(999, kPointer, Look(999, 51, 300));
  salience.Add(905, kRetrieval, Look(905, 30, kMassOne));
  salience.Add(115, kRetrieval, Look(115, 5, kMassOne / 2));
  const std::vector<uint64_t> scores = salience.Scores(kIds);
  EXPECT_EQ(scores[90], 0u);
  EXPECT_EQ(scores[30], 0u);
  EXPECT_EQ(scores[51], kMassOne * 3 / 4 * 8 / 10);
  EXPECT_EQ(scores[5], kMassOne / 2 / 4);
}

TEST(Salience, TheMeanOverTheHeadsCounts) {
  Salience salience = Asked(50, kKnownTwo);
  salience.Add(905, 1, Look(905, 30, 600));
  salience.Add(905, 2, Look(905, 40, 400));
  salience.Add(906, 1, Look(906, 40, 300));
  EXPECT_EQ(salience.Scores(kIds)[30], 300u);
  EXPECT_EQ(salience.Scores(kIds)[40], 350u);
}

TEST(Salience, ALongSentenceBesideTheQuestionCountsForLess) {
  Content content = Prompt(50);
  content.ids[899] = 1;  // sequences 89 and 90 are one of twenty rows
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(989, 89, 1000));
  EXPECT_EQ(salience.Scores(kIds)[89], kMassOne * 8 / 20);
}

TEST(Salience, InAChatNeitherTheFirstNorTheOpenSequenceAsks) {
  Content content = Prompt(50);
  content.turn_begin = 800;
  content.ids[999] = 1;  // the last sequence is open
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(999, 0, 900000));
  salience.Add(998, kPointer, Look(998, 99, 900000));
  salience.Add(995, kRetrieval, Look(995, 30, 1000));
  for (const size_t i : {0, 30, 99}) EXPECT_EQ(salience.Scores(kIds)[i], 0u);
}

TEST(Salience, InAPlainTextTheLastSequenceAsksToo) {
  Content content = Prompt(50);
  for (const uint32_t last : {9, 1}) {  // closed, or open as "Its code is" would be
    content.ids[999] = last;
    Salience salience(content, kKnown);
    salience.Add(999, kPointer, Look(999, 0, 900000));  // the first one still does not
    salience.Add(998, kPointer, Look(998, 99, 750));
    salience.Add(999, kPointer, Look(999, 40, 250));
    salience.Add(995, kRetrieval, Look(995, 30, 1000));
    EXPECT_EQ(salience.Scores(kIds)[0], 0u);
    EXPECT_EQ(salience.Scores(kIds)[99], kMassOne * 3 / 4 * 8 / 10);
    EXPECT_EQ(salience.Scores(kIds)[30], 750u);
  }
}

TEST(Salience, WhatAQuestionMarkClosesHasHalfOfTheWeight) {
  Content content = Prompt(50);
  content.turn_begin = 200;
  content.user = {{200, 900}};
  content.question_marks = {419, 612, 955};  // the last one is none of the user's
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(999, 80, 1000));
  salience.Add(415, kRetrieval, Look(415, 30, kMassOne));
  salience.Add(615, kRetrieval, Look(615, 35, kMassOne));
  salience.Add(805, kRetrieval, Look(805, 50, kMassOne));
  const std::vector<uint64_t> scores = salience.Scores(kIds);
  for (const size_t asks : {41, 61, 80}) EXPECT_EQ(scores[asks], kMassOne / 2) << "as the best answer";
  EXPECT_EQ(scores[95], 0u);
  EXPECT_EQ(scores[30], kMassOne / 4);
  EXPECT_EQ(scores[35], kMassOne / 4);
  EXPECT_EQ(scores[50], kMassOne / 2);
}

TEST(Salience, ManyQuestionMarksAreOfATextAndHaveLess) {
  Content content = Prompt(50);
  content.turn_begin = 200;
  content.user = {{200, 900}};
  for (uint32_t i = 0; i < 16; ++i) content.question_marks.push_back(309 + 10 * i);
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(999, 80, 1000));
  EXPECT_EQ(salience.Scores(kIds)[80], kMassOne * 3 / 4 * 8 / 10);
  EXPECT_EQ(salience.Scores(kIds)[30], kMassOne / 4 / 16 * 8 / 10);
}

TEST(Salience, TheAnswersRowsLookBackAtAQuestionBeforeThem) {
  Content content = Prompt(50);
  content.turn_begin = 100;
  content.user = {{100, 990}};
  content.question_marks = {408};
  Salience salience(content, kKnown);
  salience.Add(505, kRetrieval, Look(505, 40, kMassOne / 2));
  salience.Add(705, kRetrieval, Look(705, 20, kMassOne));  // asks nothing
  EXPECT_EQ(salience.Scores(kIds)[50], kMassOne / 4 / 4);
  EXPECT_EQ(salience.Scores(kIds)[51], kMassOne / 4 / 4 * 2 / 5);
  EXPECT_EQ(salience.Scores(kIds)[70], 0u);
}

TEST(Salience, WhatOpensTheLastTurnAsksALittleInAnyCase) {
  Content content = Prompt(50);
  content.turn_begin = 100;
  Salience salience(content, kKnown);
  salience.Add(505, kRetrieval, Look(505, 10, kMassOne));  // sequences 10 and 11 open the turn
  salience.Add(605, kRetrieval, Look(605, 12, kMassOne));
  constexpr uint64_t kWeight = kMassOne / 20;
  EXPECT_EQ(salience.Scores(kIds)[10], kWeight * 8 / 10);
  EXPECT_EQ(salience.Scores(kIds)[50], kWeight / 4);
  EXPECT_EQ(salience.Scores(kIds)[60], 0u);
}

TEST(Salience, TakesOverWhatWasGatheredForTheSameBeginning) {
  Content whole = Prompt(50);
  Content prefix = whole;
  prefix.ids.resize(606);
  prefix.prompt_length = 607;
  Salience earlier(prefix, kKnown), once(whole, kKnown), twice(whole, kKnown);
  for (const auto& [position, mass] : std::vector<std::pair<uint32_t, uint32_t>>{{505, 8000}, {603, 500}}) {
    for (const uint32_t to : {0, 20}) {
      earlier.Add(position, kRetrieval, Look(position, to, mass));
      once.Add(position, kRetrieval, Look(position, to, mass));
    }
  }
  EXPECT_EQ(Salience::LatestEnd(whole, kKnown), 1000 - Salience::kPointerRows);
  twice.Take(earlier.Before(606));
  for (Salience* salience : {&once, &twice}) {
    salience->Add(607, kRetrieval, Look(607, 1, 600));
    salience->Add(999, kPointer, Look(999, 60, 1000));
  }
  EXPECT_EQ(twice.Scores(kIds), once.Scores(kIds));
  EXPECT_EQ(twice.Scores(kIds)[20], 500u);

  EarlierSalience late = earlier.Before(606);
  late.end = 1000 - Salience::kPointerRows + 1;
  EXPECT_FALSE(once.CanTake(late)) << "the last rows have their turn at the end";
  EXPECT_FALSE(once.CanTake({.end = 606})) << "of other sequences";
  Content another = whole;  // what asks is asked at the end
  another.turn_begin = 300;
  EXPECT_TRUE(Salience(another, kKnown).CanTake(earlier.Before(606)));
}

TEST(Salience, WithoutKnownHeadsTheMostOfAllHeadsCounts) {
  Salience salience(Prompt(50), kAll);
  salience.Add(995, 0, Look(995, 30, 600));
  salience.Add(970, 1, Look(970, 31, 700));
  salience.Add(999, 1, Look(999, 31, 100));
  EXPECT_EQ(salience.Scores(kIds)[30], 600u);
  EXPECT_EQ(salience.Scores(kIds)[31], 700u);
  EXPECT_TRUE(salience.CanTake({.end = 968})) << "earlier rows tell nothing";
  EXPECT_FALSE(salience.CanTake({.end = 969}));
}

// The user says sequences 88 to 98; sequence 90 and two that answer it share a word, of which the first names another.
Content Chat() {
  Content content = Prompt(50);
  content.turn_begin = 880;
  content.user = {{880, 990}};
  content.ids[903] = content.ids[303] = content.ids[503] = 70;
  content.ids[305] = content.ids[705] = 71;
  return content;
}

TEST(Salience, WordsOfTheQuestionCountAsMuchAsAttention) {
  Content content = Chat();
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(999, 90, 1000));
  salience.Add(905, kRetrieval, Look(905, 30, kMassOne / 2));
  const std::vector<uint64_t> scores = salience.Scores(content.ids);
  EXPECT_EQ(scores[30], kMassOne) << "attention, and as much again for its words";
  EXPECT_EQ(scores[50], kMassOne / 2) << "the same words, though the head passes over it";
  EXPECT_EQ(scores[70], kMassOne * 4 / 5) << "named by what answers";
  EXPECT_EQ(scores[80], 0u);
}

TEST(Salience, EachOfSeveralQuestionsIsKeptLikeTheBestAnswer) {
  Content content = Chat();
  for (const uint32_t begin : {910u, 920u}) content.ids[begin + 9] = 1;  // the second one has thirty rows
  content.question_marks = {908, 938, 948};
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(979, 90, 1000));  // 98 sequences
  salience.Add(905, kRetrieval, Look(905, 30, kMassOne));
  const std::vector<uint64_t> scores = salience.Scores(content.ids);
  const uint64_t best = *std::max_element(scores.begin(), scores.end());
  EXPECT_GT(best, kMassOne / 2);
  EXPECT_EQ(scores[90], best);
  EXPECT_EQ(scores[91], best * 16 / 30) << "a long one may merely stand beside";
  EXPECT_EQ(scores[92], best);
}

TEST(Salience, InAPlainTextWordsTellNothing) {
  Content content = Chat();
  content.turn_begin = 0;
  content.user.clear();
  Salience salience(content, kKnown);
  salience.Add(999, kPointer, Look(999, 90, 1000));
  salience.Add(905, kRetrieval, Look(905, 30, kMassOne / 2));
  EXPECT_EQ(salience.Scores(content.ids)[30], kMassOne / 2);
  EXPECT_EQ(salience.Scores(content.ids)[50], 0u);
}

TEST(Salience, WithoutKnownHeadsTheQuestionAsksByItsWords) {
  for (const bool has_mark : {true, false}) {  // without one what the user says last asks
    Content content = Chat();
    const size_t asks = has_mark ? 90 : 98;
    if (has_mark) content.question_marks = {908};
    if (!has_mark) content.ids[983] = 70;
    Salience salience(content, kAll);
    salience.Add(970, 1, Look(970, 60, 700));
    const std::vector<uint64_t> scores = salience.Scores(content.ids);
    EXPECT_EQ(scores[60], 700u);
    EXPECT_EQ(scores[30], 700u);
    EXPECT_EQ(scores[asks], kMassOne / 2 * 8 / 10);
    EXPECT_EQ(scores[80], 0u);
  }
}

TEST(SalienceHeads, TextSurvives) {
  for (const SalienceHeads& heads : {kAll, kKnown, kKnownTwo}) {
    EXPECT_EQ(ParseSalienceHeads(SalienceHeadsText(heads), 2, 2).value(), heads);
  }
  EXPECT_EQ(SalienceHeadsText(kKnown), "pointers=1.0,retrieval=0.0");
}

TEST(SalienceHeads, WhatIsNoListOfHeadsIsNamed) {
  const auto error = [](absl::string_view text) {
    return std::string(ParseSalienceHeads(text, 2, 3).status().message());
  };
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
