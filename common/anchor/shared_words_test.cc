#include "common/anchor/shared_words.h"

#include "common/kernels/head_ref.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::Each;

constexpr uint64_t kAsks = kMassOne / 4;

// Sequences of four ids: `ids` in turn; what asks is the last one.
SharedWords Words(const std::vector<uint32_t>& ids, uint64_t asking = kAsks) {
  std::vector<PositionRange> sequences;
  for (uint32_t i = 0; i < ids.size(); i += 4) sequences.push_back({i, i + 4});
  std::vector<uint64_t> weights(sequences.size());
  weights.back() = asking;
  return SharedWords(ids, sequences, weights);
}

// `more` sequences whose ids nobody shares, behind these.
std::vector<uint32_t> With(std::vector<uint32_t> ids, uint32_t more) {
  for (uint32_t i = 0; i < 4 * more; ++i) ids.insert(ids.end() - 4, 1000 + i);
  return ids;
}

// Of sixteen sequences, of which the first have these.
std::vector<uint64_t> Scores(std::vector<uint64_t> first) {
  first.resize(16);
  return first;
}

constexpr uint64_t kLog8 = 3 * 256, kLog16 = 4 * 256;

TEST(SharedWords, RareOnesCount) {
  const SharedWords words = Words(With({1, 1, 7, 8,      // two of the question's words
                                        7, 9, 9, 9,      // one of these
                                        2, 3, 4, 5,      // none
                                        7, 8, 20, 21},   // asks
                                       12));
  // Of 16 sequences three have the one, and two the other; log2 3 is straight between 2 and 4.
  const uint64_t one = kLog16 - 384, both = one + kLog8;
  const uint64_t part = one * kMassOne / both;
  const std::vector<uint64_t> shared = words.WithWhatAsks();
  EXPECT_EQ(shared[0], kMassOne);
  EXPECT_EQ(shared[1], part * part / kMassOne);
  EXPECT_EQ(shared[2], 0u);
  EXPECT_EQ(shared.back(), 0u) << "what asks is no answer";
}

TEST(SharedWords, OfSeveralAlikeAllCountAlike) {
  const std::vector<uint64_t> shared =
      Words(With({7, 8, 9, 20, 7, 8, 9, 21, 7, 8, 9, 22, 7, 8, 9, 23}, 12)).WithWhatAsks();
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(shared[i], kMassOne);
}

TEST(SharedWords, WordsThatManyHaveAreNoMeasure) {
  // Each of eight has the one word of the question, and so no one answers it for that.
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < 8; ++i) ids.insert(ids.end(), {7, 100 + i, 200 + i, 300 + i});
  EXPECT_THAT(Words(ids).WithWhatAsks(), Each(0));
  ids[0] = 400;
  EXPECT_THAT(Words(ids).WithWhatAsks(), Each(testing::Lt(kMassOne / 100))) << "seven of eight have it";
}

TEST(SharedWords, WhoHardlyAsksHasNoSay) {
  const std::vector<uint32_t> ids = With({7, 8, 9, 1, 7, 8, 9, 2}, 14);
  EXPECT_THAT(Words(ids, kMassOne / 16 - 1).WithWhatAsks(), Each(0));
  EXPECT_GT(Words(ids, kMassOne / 16).WithWhatAsks()[0], 0u);
}

TEST(SharedWords, WhatAsksWithMoreWeightCountsMore) {
  std::vector<uint32_t> ids = {7, 8, 9, 1, 4, 5, 6, 2, 7, 8, 9, 10, 4, 5, 6, 11};
  std::vector<PositionRange> sequences = {{0, 4}, {4, 8}, {8, 12}, {12, 16}};
  const std::vector<uint64_t> shared = SharedWords(ids, sequences, {0, 0, kMassOne / 8, kMassOne / 2}).WithWhatAsks();
  // Three words of one bit each, of which the first question's have half a say: beside four bits.
  EXPECT_EQ(shared[1], kMassOne / 4 * 3 / 4 * 3);
  EXPECT_EQ(shared[0], shared[1] / 4);
}

TEST(SharedWords, NothingSharedIsNothing) {
  const SharedWords words = Words({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_THAT(words.WithWhatAsks(), Each(0));
  EXPECT_THAT(words.WithWhatAnswers({100, 100, 0}), Each(0));
  EXPECT_TRUE(SharedWords({}, {}, {}).WithWhatAsks().empty());
}

TEST(SharedWords, WhatAnswersNamesWhatIsToBeFoundNext) {
  const SharedWords words = Words(With({7, 8, 30, 31,    // answers, and names 30 and 31
                                        30, 31, 40, 41,  // what is found next
                                        30, 50, 51, 52,  // shares less of it
                                        7, 60, 60, 60,   // answers less
                                        60, 61, 61, 61,  // of which nobody hears
                                        7, 8, 70, 70},   // asks
                                       10));
  const std::vector<uint64_t> next = words.WithWhatAnswers(Scores({1000, 0, 0, 499}));
  EXPECT_EQ(next[1], 1000u) << "more than the question shares with anyone";
  EXPECT_GT(next[1], next[2]);
  EXPECT_GT(next[2], 0u);
  EXPECT_EQ(next[4], 0u);
  EXPECT_EQ(next[0], 0u) << "no one names itself";
  EXPECT_EQ(next.back(), 0u) << "nor what asks";
  EXPECT_GT(words.WithWhatAnswers(Scores({1000, 0, 0, 500}))[4], 0u);
}

TEST(SharedWords, AWordThatManyHaveNamesNothing) {
  std::vector<uint32_t> ids = With({7, 30, 1, 1, 30, 2, 2, 2, 30, 3, 3, 3, 30, 4, 4, 4, 7, 6, 6, 6}, 11);
  EXPECT_THAT(Words(ids).WithWhatAnswers(Scores({1000})), Each(0));
  ids[12] = 4;  // three have it now
  EXPECT_GT(Words(ids).WithWhatAnswers(Scores({1000}))[1], 0u);
}

}  // namespace
}  // namespace kedge
