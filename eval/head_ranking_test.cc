#include "eval/head_ranking.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr HeadRef kHeads[] = {{0, 0}, {0, 1}, {1, 0}};

std::vector<HeadRef> HeadsOf(absl::Span<const HeadRank> ranks) {
  std::vector<HeadRef> heads;
  for (const HeadRank& rank : ranks) heads.push_back(rank.head);
  return heads;
}

// Six sequences: the first, three that could be chosen, the question and the open one.
ObservedPrompt Prompt(std::string form, std::vector<size_t> facts, std::vector<size_t> rivals,
                      std::vector<uint32_t> from_question, std::vector<uint32_t> from_end) {
  return {.form = std::move(form),
          .known = {.count = 6, .question = {4}, .facts = std::move(facts), .rivals = std::move(rivals)},
          .from_question = std::move(from_question),
          .from_end = std::move(from_end)};
}

const std::vector<uint32_t> kEven(18, 1);

TEST(HeadRankingTest, RetrievalHeadsRankTheFactAmongItsRivalsAlone) {
  const ObservedPrompt prompt = Prompt("single", {2}, {1, 3},
                                       {99, 5, 4, 5, 99, 99,   // both rivals before it
                                        99, 5, 6, 5, 99, 99,   // first of the three
                                        99, 5, 6, 7, 99, 99},  // second
                                       kEven);
  const HeadRanking ranking = RankHeads(kHeads, {prompt});
  EXPECT_THAT(HeadsOf(ranking.retrieval), ElementsAre(HeadRef{0, 1}, HeadRef{1, 0}, HeadRef{0, 0}));
  EXPECT_DOUBLE_EQ(ranking.retrieval[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranking.retrieval[1].rank, 1.0 / 2);
  EXPECT_DOUBLE_EQ(ranking.retrieval[2].rank, 1.0 / 3);
}

TEST(HeadRankingTest, TwoFactsDoNotCompete) {
  const ObservedPrompt prompt = Prompt("pair", {1, 3}, {2},
                                       {0, 9, 1, 8, 0, 0,   // both before the rival
                                        0, 9, 5, 4, 0, 0,   // one of them
                                        0, 1, 2, 1, 0, 0},  // none
                                       kEven);
  const std::vector<HeadRank> ranks = RankHeads(kHeads, {prompt}).retrieval;
  EXPECT_THAT(HeadsOf(ranks), ElementsAre(HeadRef{0, 0}, HeadRef{0, 1}, HeadRef{1, 0}));
  EXPECT_DOUBLE_EQ(ranks[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranks[1].rank, 0.75);
  EXPECT_DOUBLE_EQ(ranks[2].rank, 0.5);
}

TEST(HeadRankingTest, TiesGoToTheEarlierSequenceAndNoMassIsNoRank) {
  const ObservedPrompt prompt = Prompt("single", {2}, {1, 3},
                                       {0, 0, 0, 0, 0, 0,   //
                                        0, 5, 5, 5, 0, 0,   // the earlier rival goes first
                                        0, 0, 5, 5, 0, 0},  // it is the earlier one itself
                                       kEven);
  const std::vector<HeadRank> ranks = RankHeads(kHeads, {prompt}).retrieval;
  EXPECT_THAT(HeadsOf(ranks), ElementsAre(HeadRef{1, 0}, HeadRef{0, 1}, HeadRef{0, 0}));
  EXPECT_DOUBLE_EQ(ranks[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranks[1].rank, 0.5);
  EXPECT_DOUBLE_EQ(ranks[2].rank, 0);
}

TEST(HeadRankingTest, PointersRankTheQuestionAmongAllButTheFirstAndTheLast) {
  ObservedPrompt prompt = Prompt("single", {2}, {1, 3}, kEven,
                                 {99, 1, 1, 1, 7, 99,   // the question first
                                  99, 8, 9, 1, 7, 99,   // third
                                  99, 8, 1, 1, 7, 99});  // second
  std::vector<HeadRank> ranks = RankHeads(kHeads, {prompt}).pointers;
  EXPECT_THAT(HeadsOf(ranks), ElementsAre(HeadRef{0, 0}, HeadRef{1, 0}, HeadRef{0, 1}));
  EXPECT_DOUBLE_EQ(ranks[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranks[1].rank, 1.0 / 2);
  EXPECT_DOUBLE_EQ(ranks[2].rank, 1.0 / 3);

  prompt.known.question = {3, 4, 5};  // the best of them counts, but never the last sequence
  ranks = RankHeads(kHeads, {prompt}).pointers;
  EXPECT_DOUBLE_EQ(ranks[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranks[2].rank, 1.0 / 3);
}

TEST(HeadRankingTest, InAPlainTextTheLastSequenceMayBeTheQuestion) {
  ObservedPrompt prompt = Prompt("plain-begun", {2}, {1, 3}, kEven,
                                 {99, 1, 1, 1, 8, 7,    // second
                                  99, 1, 1, 1, 7, 8,    // the question first
                                  99, 9, 1, 1, 8, 7});  // third
  prompt.known.question = {5};
  EXPECT_DOUBLE_EQ(RankHeads(kHeads, {prompt}).pointers[0].rank, 0) << "in a chat it does not count";
  prompt.known.last_may_ask = true;
  std::vector<HeadRank> ranks = RankHeads(kHeads, {prompt}).pointers;
  EXPECT_THAT(HeadsOf(ranks), ElementsAre(HeadRef{0, 1}, HeadRef{0, 0}, HeadRef{1, 0}));
  EXPECT_DOUBLE_EQ(ranks[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranks[1].rank, 1.0 / 2);
  EXPECT_DOUBLE_EQ(ranks[2].rank, 1.0 / 3);
  prompt.known.question = {4};  // and the last one goes before the question where it is looked at more
  ranks = RankHeads(kHeads, {prompt}).pointers;
  EXPECT_EQ(ranks[0].head, (HeadRef{0, 0}));
  EXPECT_DOUBLE_EQ(ranks[0].rank, 1);
  EXPECT_DOUBLE_EQ(ranks[1].rank, 1.0 / 2);
}

TEST(HeadRankingTest, FormsHaveEqualWeightAndPromptsThatShowNothingDoNotCount) {
  std::vector<ObservedPrompt> prompts;
  for (int i = 0; i < 3; ++i) {
    prompts.push_back(Prompt("single", {2}, {1, 3},
                             {0, 1, 9, 1, 0, 0,   //
                              0, 9, 1, 9, 0, 0,   //
                              0, 1, 9, 1, 0, 0},
                             kEven));
  }
  prompts.push_back(Prompt("table", {1}, {2, 3},
                           {0, 1, 2, 3, 0, 0,   //
                            0, 3, 2, 1, 0, 0,   //
                            0, 2, 3, 1, 0, 0},
                           kEven));
  prompts.push_back(Prompt("code", {}, {2, 3}, kEven, kEven));
  prompts.back().known.question = {5};
  const HeadRanking ranking = RankHeads(kHeads, prompts);
  EXPECT_THAT(HeadsOf(ranking.retrieval), ElementsAre(HeadRef{1, 0}, HeadRef{0, 0}, HeadRef{0, 1}));
  EXPECT_DOUBLE_EQ(ranking.retrieval[0].rank, (1.0 + 1.0 / 2) / 2);
  EXPECT_DOUBLE_EQ(ranking.retrieval[1].rank, (1.0 + 1.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(ranking.retrieval[2].rank, (1.0 / 3 + 1.0) / 2);
  EXPECT_DOUBLE_EQ(ranking.pointers[0].rank, 1.0 / 4);
}

TEST(HeadRankingTest, TheBestHeadsAreThoseThatFoundSomething) {
  HeadRanking ranking;
  for (uint32_t i = 0; i < 6; ++i) ranking.retrieval.push_back({.head = {7, i}, .rank = 1.0 / (1 + i)});
  ranking.pointers = {{.head = {3, 1}, .rank = 0.5}, {.head = {3, 2}, .rank = 0.5}};
  SalienceHeads best = BestHeads(ranking);
  EXPECT_EQ(SalienceHeadsText(best), "pointers=3.1,retrieval=7.0+7.1+7.2+7.3");
  for (HeadRank& rank : ranking.pointers) rank.rank = 0;
  ranking.retrieval[2].rank = ranking.retrieval[3].rank = ranking.retrieval[4].rank = ranking.retrieval[5].rank = 0;
  best = BestHeads(ranking);
  EXPECT_THAT(best.pointers, IsEmpty());
  EXPECT_THAT(best.retrieval, ElementsAre(HeadRef{7, 0}, HeadRef{7, 1}));
}

TEST(HeadRankingTest, OfEqualRanksTheOneWithMoreAttentionComesFirst) {
  const uint32_t half = kMassOne / 2, third = kMassOne / 3;
  const ObservedPrompt prompt = Prompt("single", {2}, {1, 3},
                                       {0, 1, third, 1, 0, 0,   //
                                        0, 1, 2, 3, 0, 0,       //
                                        0, 1, half, 1, 0, 0},
                                       {0, 1, 1, 1, third, 0,   //
                                        0, 1, 1, 1, half, 0,    //
                                        0, 1, 1, 1, third, 0});
  const HeadRanking ranking = RankHeads(kHeads, {prompt});
  EXPECT_THAT(HeadsOf(ranking.retrieval), ElementsAre(HeadRef{1, 0}, HeadRef{0, 0}, HeadRef{0, 1}));
  EXPECT_THAT(HeadsOf(ranking.pointers), ElementsAre(HeadRef{0, 1}, HeadRef{0, 0}, HeadRef{1, 0}));
  EXPECT_DOUBLE_EQ(ranking.retrieval[0].attention, 0.5);
  EXPECT_DOUBLE_EQ(ranking.pointers[0].attention, 0.5);
}

TEST(HeadRankingTest, OfEqualHeadsTheEarlierComesFirst) {
  const ObservedPrompt prompt = Prompt("single", {2}, {1, 3}, kEven, kEven);
  const HeadRanking ranking = RankHeads(kHeads, {prompt});
  EXPECT_THAT(HeadsOf(ranking.retrieval), ElementsAre(kHeads[0], kHeads[1], kHeads[2]));
  EXPECT_THAT(HeadsOf(ranking.pointers), ElementsAre(kHeads[0], kHeads[1], kHeads[2]));
}

}  // namespace
}  // namespace kedge
