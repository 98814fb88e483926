#include "common/tokenizer/sentence_splitter.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

// The text with | at each break.
std::string Split(std::string text) {
  std::vector<size_t> breaks = FindSentenceBreaks(text);
  EXPECT_TRUE(std::is_sorted(breaks.begin(), breaks.end()));
  for (auto at = breaks.rbegin(); at != breaks.rend(); ++at) text.insert(*at, "|");
  return text;
}

// `marked` has | where a break is expected.
void ExpectSplit(const std::string& marked) {
  std::string text = marked;
  text.erase(std::remove(text.begin(), text.end(), '|'), text.end());
  EXPECT_EQ(Split(text), marked);
}

TEST(SentenceSplitterTest, BreaksBetweenSentencesAndNotAfterTheLast) {
  ExpectSplit("One.| Two?| Three!| Four");
  ExpectSplit("One.| Two.");
  ExpectSplit("  One.| Two. \n");
  ExpectSplit("");
  ExpectSplit(" \n\n ");
  ExpectSplit("no end");
  ExpectSplit("What?!| Wait...| So.");
  ExpectSplit("Well\u2026| So.");
}

TEST(SentenceSplitterTest, ClosingMarksBelongToTheSentence) {
  ExpectSplit("He said \"Go.\"| She went.");
  ExpectSplit("(It holds.)| Good.");
  ExpectSplit("\u201CGo.\u201D| She went.");
  ExpectSplit("'Really?'| Yes.");
  ExpectSplit("It was (so they say).| And then");
}

TEST(SentenceSplitterTest, LowerCaseGoesOn) {
  ExpectSplit("\"Really?\" he asked.");
  ExpectSplit("apples, pears etc. are fruit.| Nuts, etc.| They are not.");
  ExpectSplit("Apple Inc. sells it.");
}

TEST(SentenceSplitterTest, AbbreviationsInitialsAndNumbersDoNotBreak) {
  ExpectSplit("Dr. Smith and Mrs. Jones met Prof. Lee.| They spoke.");
  ExpectSplit("Use an anchor, e.g. a kedge, i.e. a light one.");
  ExpectSplit("Some, e.g. Kedges, hold (cf. Smith et al. 2020).| Others do not.");
  ExpectSplit("The U.S. Navy uses it.");
  ExpectSplit("J. R. Smith and J.R. Smith.| One man.");
  ExpectSplit("(J. Smith), \u201CR. Smith\u201D.| Both.");
  ExpectSplit("She is na\u00EFf.| Not he.");
  ExpectSplit("So am I.| Are you?");
  ExpectSplit("It is 3.14 or v1.2.3 at kedge.cc/x.| Yes.");
  ExpectSplit("Take No. 5 of Fig. 2.| Is it?| No.| It is not.");
  ExpectSplit("It was in 1999.| Then came 2000.");
  ExpectSplit("1. Hoist it.| 2. Let go.");
}

TEST(SentenceSplitterTest, BlankLinesBreak) {
  ExpectSplit("A title|\n\nA text\nin lines.| More.|\n \n- an entry");
  ExpectSplit("Dr.|\n\nSmith");
  ExpectSplit("one\ntwo\nthree");
  ExpectSplit("one|\r\n\r\ntwo");
  ExpectSplit("one.|\n\ntwo");
}

TEST(SentenceSplitterTest, FullWidthTerminatorsNeedNoSpace) {
  ExpectSplit("\u4F60\u597D\u3002|\u518D\u89C1\uFF01|\u5417\uFF1F");
  ExpectSplit("\u300C\u4F60\u597D\u3002\u300D|\u518D\u89C1");
  ExpectSplit("\u00C9t\u00E9.|\u00A0\u00C9t\u00E9.|\u3000Fin");
}

}  // namespace
}  // namespace kedge
