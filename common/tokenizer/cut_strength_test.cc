#include "common/tokenizer/cut_strength.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "common/tokenizer/sequence_ends.h"
#include "common/tokenizer/test_vocabulary.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// A token is a byte here, so what is decided is decided by the text.
class CutStrengthTest : public ::testing::Test {
 protected:
  CutStrengthTest() {
    TestVocabulary vocabulary = ByteVocabulary();
    end_ = vocabulary.Add("<|end|>", 3);
    start_ = vocabulary.Add("<|start|>", 3);
    vocabulary.eos = end_;
    tokenizer_ = MakeTokenizer(vocabulary);
  }

  // $ is the token that ends a turn, ^ the one that begins one.
  std::vector<uint32_t> Ids(const std::string& text) const {
    std::vector<uint32_t> ids;
    for (const char byte : text) ids.push_back(byte == '$' ? end_ : byte == '^' ? start_ : static_cast<uint8_t>(byte));
    return ids;
  }

  // The prompt's text with | behind each sequence that ends.
  std::string Cut(const PromptTokens& prompt, std::string text, uint32_t longest = 0) const {
    const std::vector<uint32_t> ends = FindSequenceEnds(FindCutStrengths(*tokenizer_, prompt), longest);
    for (auto end = ends.rbegin(); end != ends.rend(); ++end) text.insert(*end + 1, "|");
    return text;
  }
  void ExpectCut(const std::string& marked, uint32_t longest = 0) const {
    std::string text = marked;
    std::erase(text, '|');
    EXPECT_EQ(Cut({.ids = Ids(text)}, text, longest), marked);
  }
  CutStrength StrengthAt(const std::string& left, const std::string& right) const {
    return FindCutStrengths(*tokenizer_, {.ids = Ids(left + right)})[left.size() - 1];
  }

  uint32_t end_, start_;
  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_F(CutStrengthTest, LinesOfAnyFormEndSequences) {
  ExpectCut("a;\n|b {\n|}\n|");
  ExpectCut("one\r\n|two\r|three\v|four\f|five");
  ExpectCut("one\u0085|two\u2028|three\u2029|four");
  ExpectCut("one\n\n\n|two\r\n\r\n|three\n  \t\n|  four");  // blank lines belong to what is before them
  ExpectCut("One.\n|Two.  \r\n|Three");
  ExpectCut("\n|one");
}

TEST_F(CutStrengthTest, SentencesOfAnyScriptDo) {
  ExpectCut("One.| Two?!| Three.|");
  ExpectCut("\u4F60\u597D\u3002|\u518D\u89C1\uFF01|\u300C\u5417\uFF1F\u300D|\u597D.|\u597D");
  ExpectCut("\u0939\u0948\u0964| \u0928\u0939\u0940\u0902\u0965| x");
  ExpectCut("\u0646\u0639\u0645\u061F| \u0644\u0627.| X");
  ExpectCut("\u7248\u672C3.14\u3002|\uFF13\uFF0E\uFF14");
}

TEST_F(CutStrengthTest, WhatIsWithinAFactDoesNotCutIt) {
  ExpectCut("It is 10.27.66 in config.yaml.| Then Dr. Hill, e.g. J. Hill, saw No. 7.| Yes");
  ExpectCut("if (!a or b!=c) d?.e();");
  ExpectCut("println!(\"x\"); v?; ../a/./b");
}

TEST_F(CutStrengthTest, TurnsEndAndWhatOpensAnAnswerDoesNot) {
  ExpectCut("^user\n|Hi.|$|\n|^assistant\n|");
  ExpectCut("^user\n|Hi$|^bot\n|");
  ExpectCut("a b|^c");  // a text ends before a special token that ends nothing
  const std::string text = "^user\nHi.$\n^assistant\n";
  PromptTokens prompt{.ids = Ids(text), .no_anchor = std::vector<bool>(text.size())};
  std::fill(prompt.no_anchor.begin() + text.find("^assistant"), prompt.no_anchor.end(), true);
  EXPECT_EQ(Cut(prompt, text), "^user\n|Hi.|$|\n|^assistant\n");
  EXPECT_EQ(Cut(prompt, text, 4), "^us|er\n|Hi.|$|\n|^assistant\n") << "nor is it cut";
}

TEST_F(CutStrengthTest, WhatAMessageSaysBeginsASequence) {
  const std::string text = "[INST] Say it. Now [/INST]";
  EXPECT_EQ(Cut({.ids = Ids(text), .messages = {{{7, 18}}}}, text), "[INST] |Say it.| Now [/INST]");
  PromptTokens opened{.ids = Ids(text), .no_anchor = std::vector<bool>(text.size()), .messages = {{{7, 18}}}};
  opened.no_anchor[6] = true;
  EXPECT_EQ(Cut(opened, text), "[INST] Say it.| Now [/INST]");
}

TEST_F(CutStrengthTest, PlacesWithinASequenceAreRanked) {
  const std::vector<std::pair<std::string, std::string>> ascending[] = {
      {{"10", "27"}, {"wo", "rd"}, {"\u00E9t", "\u00E9"}},  // kWord
      {{"10.", "27"}, {"1,", "000 x"}, {"12:", "30"}, {"config.", "yaml"}, {"\"", "x"}, {"f(", "x"}, {"x", ","}},
      {{"a/", "/b"}, {"\u4F60", "\u597D"}, {"x", "="}},                                                    // kSign
      {{"a", " b"}, {"a ", "b"}, {"\"k\":", " 1"}},                                                        // kSpace
      {{"f(x)", "-y"}, {"x\"", " y"}, {"a", "  b"}, {"<p>", "-"}},                                         // kBracket
      {{"a,", " b"}, {"a,", "b"}, {"1,", "22"}, {"\u4F60\uFF0C", "\u597D"}, {"a |", " b"}, {"a\t", "b"}},  // kClause
      {{"a;", " b"}, {"a;", "b"}, {"]},", "{"}, {"}", "x"}},                                               // kStrong
      {{"a.", " b"}, {"Dr.", " Hill"}},                                                                    // kStop
  };
  int strength = static_cast<int>(CutStrength::kWord);
  for (const auto& places : ascending) {
    for (const auto& [left, right] : places) {
      EXPECT_EQ(static_cast<int>(StrengthAt(left, right)), strength) << left << "^" << right;
    }
    ++strength;
  }
}

TEST_F(CutStrengthTest, WhatIsTooLongIsCutAtTheBestPlaces) {
  ExpectCut(R"({"a":1,|"b":22,|"c":333,|"d":4444,|"e":5,|"f":66})", 10);
  ExpectCut("the code| is 4817", 10);
}

TEST_F(CutStrengthTest, BytesThatAreNoTextAreCutAsSigns) {
  const std::vector<uint32_t> ids = {'a', 0xFF, 0xE4, 'b', '.', ' ', 'C', 0xE4, 0xBD, 0xA0, 999, 0xE4};
  const std::vector<CutStrength> strengths = FindCutStrengths(*tokenizer_, {.ids = ids});
  ASSERT_EQ(strengths.size(), ids.size());
  EXPECT_EQ(strengths[4], CutStrength::kEnd);
  EXPECT_EQ(strengths[7], CutStrength::kNever) << "within a character";
  EXPECT_EQ(strengths[9], CutStrength::kEnd) << "before an id that the vocabulary does not have";
}

// Long runs of one kind of character took quadratic time in a first version.
TEST_F(CutStrengthTest, TakesLinearTime) {
  for (const char* part : {" ", "\n", ".", ". ", ")", ".[1", "a.", "a. ", "\"", "\u3002", "1,000"}) {
    std::string text;
    while (text.size() < 200000) text += part;
    EXPECT_EQ(FindCutStrengths(*tokenizer_, {.ids = Ids(text)}).size(), text.size());
  }
}

// Prompts that begin alike are cut alike there, but for the last few rows.
TEST_F(CutStrengthTest, LooksNoFartherThanTheNextCharacter) {
  const std::string text =
      "One. two, Three.\" Four\r\n\r\nfive: 10.27 {x; y} 1,000 No. 7.[12] Six! \u4F60\u3002\u597D ";
  const std::vector<CutStrength> whole = FindCutStrengths(*tokenizer_, {.ids = Ids(text)});
  for (size_t size = 0; size <= text.size(); ++size) {
    const std::vector<CutStrength> part = FindCutStrengths(*tokenizer_, {.ids = Ids(text.substr(0, size))});
    for (size_t i = 0; i + 8 < size; ++i) EXPECT_EQ(part[i], whole[i]) << i << " of " << size;
  }
}

}  // namespace
}  // namespace kedge
