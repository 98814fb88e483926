#include "eval/calibration_prompts.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/anchor/policy.h"
#include "common/model/gguf.h"
#include "common/testing/tiny_model.h"
#include "common/tokenizer/policy_names.h"
#include "eval/held_out.h"
#include "eval/prompt_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// The tiny model's vocabulary: about two bytes a token, so that prompts have more of them.
class CalibrationPromptsTest : public testing::Test {
 protected:
  CalibrationPromptsTest()
      : bytes_(MakeTinyModel({})),
        file_(GgufFile::Parse({reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()}, "tiny").value()),
        tokenizer_(Tokenizer::Load(*file_).value()),
        chat_(ChatTemplate::Load(*file_, tokenizer_.get()).value()),
        // Tokens of the tiny vocabulary are letters, mostly.
        policy_(ParsePolicy("salient,longest=400", FindPolicyNames(*file_, *tokenizer_).value()).value()),
        filler_(FillerOf(CalibrationDocuments())) {}

  absl::StatusOr<std::vector<CalibrationText>> Make(uint32_t context_length, bool as_chat = true) {
    const CalibrationOptions options{.policy = policy_, .rounds = 2, .tokens = 1400, .context_length = context_length};
    return MakeCalibrationTexts(options, filler_, *tokenizer_, as_chat ? chat_.get() : nullptr);
  }

  std::string TextOf(const CalibrationPrompt& prompt, absl::Span<const size_t> sequences) {
    std::string text;
    for (size_t sequence : sequences) {
      for (uint32_t i = prompt.sequences[sequence].begin; i < prompt.sequences[sequence].end; ++i) {
        absl::StrAppend(&text, tokenizer_->TokenBytes(prompt.ids[i]));
      }
    }
    return text;
  }

  const std::string bytes_;
  const std::shared_ptr<const GgufFile> file_;
  const std::unique_ptr<const Tokenizer> tokenizer_;
  const std::unique_ptr<const ChatTemplate> chat_;
  const Policy policy_;
  const std::vector<std::string> filler_;
};

TEST_F(CalibrationPromptsTest, SequencesAreKnownForWhatTheyAre) {
  const std::vector<CalibrationText> texts = Make(4096).value();
  EXPECT_THAT(texts, SizeIs(8));
  std::map<std::string, int> forms, with_facts;
  for (const CalibrationText& text : texts) {
    for (const CalibrationPrompt& prompt : text.prompts) {
      ++forms[prompt.form];
      if (!prompt.known.facts.empty()) ++with_facts[prompt.form];
      const std::string question = TextOf(prompt, prompt.known.question);
      SCOPED_TRACE(question);
      // One sentence, or two of a pair; ends with the question mark or stop and says no more than was asked.
      ASSERT_FALSE(prompt.known.question.empty());
      const bool is_plain = absl::StartsWith(prompt.form, "plain-");
      if (prompt.form == "plain-begun") {  // or what has begun, to the row before the last
        EXPECT_EQ(prompt.known.question.back() + 1, prompt.known.count);
      } else {
        EXPECT_TRUE(absl::EndsWith(absl::StripAsciiWhitespace(question), "?") || absl::EndsWith(question, "."))
            << question;
        if (is_plain) EXPECT_EQ(prompt.known.question.back() + 2, prompt.known.count) << "Answer";
      }
      EXPECT_EQ(prompt.known.last_may_ask, is_plain);
      EXPECT_LT(question.size(), 200u);
      for (size_t fact : prompt.known.facts) {
        const std::string line = TextOf(prompt, {fact});
        EXPECT_LT(line.size(), 120u) << line;
        EXPECT_TRUE(absl::EndsWith(line, ".") || absl::EndsWith(line, "\n")) << line;
      }
      EXPECT_LE(prompt.known.facts.size(), absl::EndsWith(prompt.form, "pair") ? 2u : 1u);
      // All are of the prompt, none is two things, and what the policy keeps in any case is neither fact nor rival.
      std::set<size_t> seen;
      for (const auto* part : {&prompt.known.question, &prompt.known.facts, &prompt.known.rivals}) {
        for (size_t sequence : *part) {
          EXPECT_LT(sequence, prompt.known.count);
          EXPECT_TRUE(seen.insert(sequence).second);
          if (part == &prompt.known.question) continue;
          EXPECT_GE(prompt.sequences[sequence].begin, policy_.sinks);
          EXPECT_LE(prompt.sequences[sequence].end, prompt.ids.size() - policy_.recent);
        }
      }
      EXPECT_GT(prompt.known.rivals.size(), 8u);
      EXPECT_THAT(prompt.sequences, SizeIs(prompt.known.count));
      EXPECT_EQ(prompt.sequences.back().end, prompt.ids.size() - 1);
    }
  }
  for (const char* form : {"single", "pair", "alike", "table", "code", "plain-single", "plain-pair", "plain-alike",
                           "plain-table", "plain-code", "plain-begun"}) {
    EXPECT_EQ(forms[form], 10) << form;
    EXPECT_GE(with_facts[form], 8) << form;  // few are in the window
  }
}

// What the recall case says of bytes must be what the sequences say: the fact asked for, among others of its kind.
TEST_F(CalibrationPromptsTest, TheFactIsTheOneAskedFor) {
  int compared = 0;
  const std::vector<CalibrationText> texts = Make(4096).value();
  for (const CalibrationText& text : texts) {
    for (const CalibrationPrompt& prompt : text.prompts) {
      if (!absl::EndsWith(prompt.form, "table") && !absl::EndsWith(prompt.form, "code")) continue;
      // The subject is the word of the question that stands in the fact's line and in no other line of the block.
      const std::string question = TextOf(prompt, prompt.known.question), fact = TextOf(prompt, prompt.known.facts);
      if (fact.empty()) continue;
      bool shares_a_word = false;
      for (absl::string_view word : absl::StrSplit(question, absl::ByAnyChar(" ?\n"), absl::SkipEmpty())) {
        shares_a_word |= word.size() > 3 && absl::StrContains(fact, word);
      }
      EXPECT_TRUE(shares_a_word) << question << fact;
      ++compared;
    }
  }
  EXPECT_GT(compared, 20);
}

TEST_F(CalibrationPromptsTest, PromptsAreEqualUpToTheForkBeforeEveryRowThatIsLookedAt) {
  const std::vector<CalibrationText> texts = Make(4096).value();
  for (const CalibrationText& text : texts) {
    const std::vector<uint32_t>& first = text.prompts[0].ids;
    EXPECT_GT(text.fork, first.size() * 3 / 4);
    for (const CalibrationPrompt& prompt : text.prompts) {
      ASSERT_LT(text.fork, prompt.ids.size());
      EXPECT_TRUE(std::equal(prompt.ids.begin(), prompt.ids.begin() + text.fork, first.begin()));
      const uint32_t size = static_cast<uint32_t>(prompt.ids.size());
      const std::vector<uint32_t> rows = prompt.QuestionRows();
      ASSERT_FALSE(rows.empty());
      EXPECT_GE(rows.front(), text.fork);
      EXPECT_GE(rows.front() + 128, size - 1);
      EXPECT_LT(rows.back(), size - 1);
      EXPECT_THAT(prompt.EndRows(), ElementsAre(size - 3, size - 2));
    }
  }
}

TEST_F(CalibrationPromptsTest, WithoutAChatTemplateThereArePlainTextsAlone) {
  const std::vector<CalibrationText> both = Make(4096).value(), plain = Make(4096, /*as_chat=*/false).value();
  ASSERT_THAT(plain, SizeIs(4));
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_THAT(plain[i].prompts, SizeIs(both[4 + i].prompts.size()));
    for (size_t j = 0; j < plain[i].prompts.size(); ++j) {
      const CalibrationPrompt& prompt = plain[i].prompts[j];
      EXPECT_EQ(prompt.ids, both[4 + i].prompts[j].ids);
      EXPECT_TRUE(absl::StartsWith(prompt.form, "plain-"));
      for (uint32_t id : prompt.ids) EXPECT_FALSE(tokenizer_->IsSpecial(id));
    }
  }
}

TEST_F(CalibrationPromptsTest, WhatDoesNotFitIsLeftOut) {
  const std::vector<CalibrationText> texts = Make(600).value();
  EXPECT_FALSE(texts.empty());
  for (const CalibrationText& text : texts) {
    for (const CalibrationPrompt& prompt : text.prompts) EXPECT_LE(prompt.ids.size(), 600u);
  }
  const absl::Status status = Make(100).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "100"));
}

}  // namespace
}  // namespace kedge
