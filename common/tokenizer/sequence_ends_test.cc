#include "common/tokenizer/sequence_ends.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Strengths = std::vector<CutStrength>;

// A character for each row: . ends, anything else is its place in the order of strengths.
Strengths Of(absl::string_view rows) {
  constexpr absl::string_view kNames = "-wjs bc;!.";  // in the order of the enum
  Strengths strengths;
  for (const char row : rows) strengths.push_back(static_cast<CutStrength>(kNames.find(row)));
  return strengths;
}

TEST(SequenceEnds, EveryEndIsOneAndWhatFollowsTheLastStaysOpen) {
  EXPECT_THAT(FindSequenceEnds(Of("w;w.w!.ww"), 0), ElementsAre(3, 6));
  EXPECT_THAT(FindSequenceEnds(Of("w;w.w!.ww"), 100), ElementsAre(3, 6));
  EXPECT_THAT(FindSequenceEnds(Of(""), 8), IsEmpty());
  EXPECT_THAT(FindSequenceEnds(Of("."), 8), ElementsAre(0));
}

TEST(SequenceEnds, ALongOneIsCutAtTheStrongestPlaceOfTheSecondHalf) {
  EXPECT_THAT(FindSequenceEnds(Of("w;ww w cw w wwww."), 8), ElementsAre(7, 11, 16));
  EXPECT_THAT(FindSequenceEnds(Of("wwww;w  wcwwwwww."), 8), ElementsAre(4, 9, 16));
}

TEST(SequenceEnds, WhereTwoPiecesWillDoTheyAreAboutEqual) {
  EXPECT_THAT(FindSequenceEnds(Of("         ."), 8), ElementsAre(4, 9));
  EXPECT_THAT(FindSequenceEnds(Of("               ."), 8), ElementsAre(7, 15));
}

TEST(SequenceEnds, NoneIsLongerThanAsked) {
  for (uint32_t longest : {1, 2, 3, 7, 48}) {
    for (uint32_t rows = 0; rows < 150; ++rows) {
      Strengths strengths;
      for (uint32_t i = 0; i < rows; ++i) strengths.push_back(static_cast<CutStrength>(1 + i * i * 7 % 9));
      uint32_t begin = 0;
      for (uint32_t end : FindSequenceEnds(strengths, longest)) {
        EXPECT_LE(end + 1 - begin, longest);
        begin = end + 1;
      }
      EXPECT_LE(rows - begin, longest);
    }
  }
}

TEST(SequenceEnds, WhatNeverEndsOneIsNotCut) {
  EXPECT_THAT(FindSequenceEnds(Of("----------w----w."), 4), ElementsAre(10, 15, 16));
  EXPECT_THAT(FindSequenceEnds(Of("----------"), 4), IsEmpty());
}

// What rows stand on must be the same in every prompt that begins alike.
TEST(SequenceEnds, DecisionsLookAheadByLessThanTwiceTheLongest) {
  constexpr uint32_t kLongest = 8;
  const Strengths whole = Of("ww ;w sw.wwwwcw ww w;www ww!ww ww s ss bw ww w ww ww w c w w w ww.ww");
  const std::vector<uint32_t> ends = FindSequenceEnds(whole, kLongest);
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::vector<uint32_t> part = FindSequenceEnds(absl::MakeConstSpan(whole).first(size), kLongest);
    for (uint32_t i = 0; i + 2 * kLongest <= size; ++i) {
      EXPECT_EQ(std::binary_search(part.begin(), part.end(), i), std::binary_search(ends.begin(), ends.end(), i))
          << "row " << i << " of " << size;
    }
  }
}

}  // namespace
}  // namespace kedge
