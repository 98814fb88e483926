// What holds for the questions of every form.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "eval/forms/haystack.h"
#include "eval/forms/text_kinds.h"
#include "eval/held_out.h"
#include "gtest/gtest.h"
#include "xxhash.h"

namespace kedge {
namespace {

// Words; a long one counts as several, so that texts without spaces have a length too.
size_t Count(absl::string_view text) {
  size_t words = 0;
  for (absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    words += 1 + word.size() / 8;
  }
  return words;
}

const std::vector<std::string>& Filler() {
  static const auto* const kFiller = [] {
    auto* filler = new std::vector<std::string>;
    for (const HeldOutDocument& document : HeldOutDocuments()) {
      if (document.kind != "prose") continue;
      for (std::string& sentence : FillerSentences(document.text)) filler->push_back(std::move(sentence));
    }
    return filler;
  }();
  return *kFiller;
}

std::vector<Question> Make(const TextKind& kind, uint64_t seed, size_t tokens, bool plain = false) {
  return kind.make({.seed = seed, .tokens = tokens, .count_tokens = Count, .plain = plain, .filler = Filler()});
}

std::string TextOf(const Question& question) {
  return absl::StrJoin(question.chat.messages, "\n", [](std::string* text, const ChatMessage& message) {
    absl::StrAppend(text, message.content.value_or(""));
  });
}

// The chat without what is needed for the answer.
std::string WithoutEvidence(const Question& question) {
  std::vector<ChatMessage> messages = question.chat.messages;
  for (const Passage& passage : question.evidence) {
    std::string& content = *messages[passage.message].content;
    std::fill(content.begin() + passage.bytes.begin, content.begin() + passage.bytes.end, ' ');
  }
  return TextOf({.chat = {.messages = messages}});
}

class FormsTest : public testing::TestWithParam<size_t> {
 protected:
  const TextKind& kind_ = TextKinds()[GetParam()];

  // Calls `check` with texts of many seeds and sizes.
  void ForTexts(const std::function<void(const std::vector<Question>&)>& check) {
    for (size_t tokens : {1, 500, 1000, 4000}) {
      for (uint64_t seed = 0; seed < 15; ++seed) {
        for (bool plain : {false, true}) {
          if (plain && kind_.is_chat) continue;
          SCOPED_TRACE(absl::StrCat(kind_.name, ", seed ", seed, ", ", tokens, " tokens, ", plain ? "plain" : "chat"));
          check(Make(kind_, seed, tokens, plain));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
};

TEST_P(FormsTest, EveryTextHasItsForms) {
  for (bool plain : {false, true}) {
    if (plain && kind_.is_chat) continue;
    std::map<std::string, uint32_t> count;
    for (const Question& question : Make(kind_, 1, 500, plain)) ++count[question.form];
    std::set<std::string> forms;
    for (const auto& [form, questions] : count) {
      forms.insert(form);
      EXPECT_GE(questions, kind_.of_a_form) << form;
    }
    std::set<std::string> expected(kind_.forms.begin(), kind_.forms.end());
    if (!plain) expected.erase("begun");
    EXPECT_EQ(forms, expected);
  }
}

TEST_P(FormsTest, TheExpectedReplyIsRightAndOthersAreWrong) {
  ForTexts([](const std::vector<Question>& questions) {
    for (const Question& question : questions) {
      EXPECT_TRUE(FoundInReply(question.expected, question.check).all) << question.expected;
      EXPECT_DOUBLE_EQ(FoundInReply("", question.check).share, 0);
      EXPECT_FALSE(FoundInReply("I do not know.", question.check).all);
      EXPECT_FALSE(FoundInReply(question.TextOf(question.asked), question.check).all) << "the question itself";
      for (const Question& other : questions) {
        if (other.check.answers == question.check.answers || other.form != question.form) continue;
        EXPECT_FALSE(FoundInReply(other.expected, question.check).all) << other.expected << "\n" << question.expected;
      }
    }
  });
}

TEST_P(FormsTest, EvidenceHoldsTheAnswersAndNothingElseDoes) {
  ForTexts([](const std::vector<Question>& questions) {
    for (const Question& question : questions) {
      std::string evidence;
      ASSERT_FALSE(question.evidence.empty());
      for (const Passage& passage : question.evidence) {
        ASSERT_LT(passage.message, question.chat.messages.size());
        ASSERT_LT(passage.bytes.begin, passage.bytes.end);
        ASSERT_LE(passage.bytes.end, question.chat.messages[passage.message].content->size());
        absl::StrAppend(&evidence, question.TextOf(passage), "\n");
      }
      const std::string rest = WithoutEvidence(question);
      for (const std::string& answer : question.check.answers) {
        EXPECT_TRUE(ContainsAnswer(evidence, answer)) << answer << "\n" << evidence;
        // The institute that somebody works at has a sentence of its own.
        if (question.form != "documents") EXPECT_FALSE(ContainsAnswer(rest, answer)) << answer << "\n" << rest;
      }
    }
  });
}

TEST_P(FormsTest, QuestionsOfATextAreAskedOfTheSameText) {
  const std::vector<Question> questions = Make(kind_, 1, 1000);
  const std::string first = TextOf(questions[0]);
  std::set<std::string> different;
  for (const Question& question : questions) {
    const std::string text = TextOf(question);
    EXPECT_TRUE(different.insert(text).second) << "asked twice";
    const size_t shared =
        std::mismatch(first.begin(), first.begin() + std::min(first.size(), text.size()), text.begin()).first -
        first.begin();
    EXPECT_GT(shared, first.size() * 3 / 4);
    for (const char* mark : {"{t}", "{q}", "{s}", "{v}", "{n}"}) EXPECT_EQ(text.find(mark), text.npos) << mark;
  }
  EXPECT_EQ(questions.size() == 1, kind_.is_alone);
}

TEST_P(FormsTest, ATextFollowsFromItsSeed) {
  std::set<std::string> texts;
  for (uint64_t seed = 0; seed < 30; ++seed) texts.insert(TextOf(Make(kind_, seed, 500)[0]));
  EXPECT_EQ(texts.size(), 30u);
  EXPECT_EQ(TextOf(Make(kind_, 1, 500)[0]), TextOf(Make(kind_, 1, 500)[0]));
}

INSTANTIATE_TEST_SUITE_P(Kinds, FormsTest, testing::Range(size_t{0}, TextKinds().size()),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return absl::StrJoin(absl::StrSplit(TextKinds()[info.param].name, '-'), "_");
                         });

// Results of one machine and day are to be compared with those of another. Whoever changes what is asked changes this
// number with it.
TEST(TextKindsTest, AllTextsAreWhatTheyWere) {
  uint64_t hash = 0;
  for (const TextKind& kind : TextKinds()) {
    for (const Question& question : Make(kind, 1, 700)) {
      const std::string text = absl::StrCat(question.form, TextOf(question), question.expected);
      hash = XXH3_64bits_withSeed(text.data(), text.size(), hash);
    }
  }
  EXPECT_EQ(hash, 15002324032754879255u);
}

TEST(TextKindsTest, NoFormIsAskedByTwoKinds) {
  std::vector<std::string> forms;
  for (const TextKind& kind : TextKinds()) forms.insert(forms.end(), kind.forms.begin(), kind.forms.end());
  EXPECT_EQ(std::set<std::string>(forms.begin(), forms.end()).size(), forms.size());
  EXPECT_GE(forms.size(), 37u);
}

}  // namespace
}  // namespace kedge
