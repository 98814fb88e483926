#include "common/tokenizer/question_marks.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/tokenizer/test_vocabulary.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// The text up to each mark, all of it said by the user but its first `unsaid` tokens.
std::vector<std::string> Asked(const std::string& text, uint32_t unsaid = 0) {
  const std::unique_ptr<const Tokenizer> tokenizer = MakeTokenizer(ByteVocabulary());  // a token is a byte
  PromptTokens prompt;
  for (const char byte : text) prompt.ids.push_back(static_cast<uint8_t>(byte));
  prompt.user = {{unsaid, static_cast<uint32_t>(prompt.ids.size())}};
  std::vector<std::string> asked;
  for (const uint32_t mark : FindQuestionMarks(*tokenizer, prompt)) {
    asked.push_back(text.substr(0, mark + 1));
  }
  return asked;
}

using testing::ElementsAre;
using testing::IsEmpty;

TEST(QuestionMarks, EndQuestionsOfAnyScript) {
  EXPECT_THAT(Asked("Who? I."), ElementsAre("Who?"));
  EXPECT_THAT(Asked("\"Who?\" (Why?) What?!"), ElementsAre("\"Who?", "\"Who?\" (Why?", "\"Who?\" (Why?) What?"));
  EXPECT_THAT(Asked("\u8C01\uFF1F\u6211"), ElementsAre("\u8C01\uFF1F"));
  EXPECT_THAT(Asked("\u0645\u0646\u061F"), ElementsAre("\u0645\u0646\u061F"));
}

TEST(QuestionMarks, MayHaveASpaceBeforeThem) {
  EXPECT_THAT(Asked("Qui ? Moi. Quoi ?\nCela."), ElementsAre("Qui ?", "Qui ? Moi. Quoi ?"));
}

TEST(QuestionMarks, OfAddressesAndCodeAreNone) {
  EXPECT_THAT(Asked("see /a?b=1 or a?.b, x = a ? b : c"), IsEmpty());
  EXPECT_THAT(Asked("? and ? are placeholders (?, ?)"), IsEmpty());
}

TEST(QuestionMarks, OnlyTheUsersCount) { EXPECT_THAT(Asked("Who?", 4), IsEmpty()); }

}  // namespace
}  // namespace kedge
