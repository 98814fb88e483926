#include "eval/eval_texts.h"

#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/model/gguf.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// The tiny model's vocabulary: about two bytes a token.
class EvalTextsTest : public testing::Test {
 protected:
  EvalTextsTest()
      : bytes_(MakeTinyModel({})),
        file_(GgufFile::Parse({reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()}, "tiny").value()),
        tokenizer_(Tokenizer::Load(*file_).value()),
        chat_(ChatTemplate::Load(*file_, tokenizer_.get()).value()) {}

  std::vector<EvalText> Make(const EvalTextOptions& options) {
    return MakeEvalTexts(options, HeldOutDocuments(), *tokenizer_, chat_.get()).value();
  }

  std::string TextOf(absl::Span<const uint32_t> ids) {
    std::string text;
    for (uint32_t id : ids) absl::StrAppend(&text, tokenizer_->TokenBytes(id));
    return text;
  }

  const std::string bytes_;
  const std::shared_ptr<const GgufFile> file_;
  const std::unique_ptr<const Tokenizer> tokenizer_;
  const std::unique_ptr<const ChatTemplate> chat_;
};

TEST_F(EvalTextsTest, PromptsAreEqualUpToTheirForks) {
  for (const EvalText& text : Make({.lengths = {1500, 3000}, .cases = 7, .context_length = 8192})) {
    SCOPED_TRACE(text.name);
    const Content prefix = text.Prefix({.recent = Policy::kAll});
    EXPECT_EQ(prefix.ids.size(), text.cases.back().fork);
    uint32_t fork = 0;
    for (const EvalCase& made : text.cases) {
      const std::vector<uint32_t>& prompt = made.continuation.prompt;
      ASSERT_GE(made.fork, fork);
      ASSERT_LT(made.fork, prompt.size());
      fork = made.fork;
      EXPECT_TRUE(std::equal(prompt.begin(), prompt.begin() + fork, prefix.ids.begin()));
      // Most of a prompt is shared.
      EXPECT_GT(made.fork, made.length * 0.8);
      EXPECT_EQ(made.continuation.given.empty(), made.continuation.max_new > 0);
      EXPECT_EQ(made.answers.empty(), made.form == kTextForm);
      if (made.form != kTextForm) {
        EXPECT_NEAR(prompt.size(), made.length, 400);
        EXPECT_FALSE(made.continuation.no_anchor_positions.empty());
        EXPECT_TRUE(absl::StrContains(TextOf(prompt), made.answers[0]));
      } else {
        EXPECT_EQ(prompt.size(), made.length);
      }
    }
  }
}

TEST_F(EvalTextsTest, WithoutAChatQuestionsArePlainText) {
  const EvalTextOptions options{.lengths = {1500}, .cases = 5, .context_length = 8192};
  std::set<std::string> forms;
  const std::vector<EvalText> texts = MakeEvalTexts(options, HeldOutDocuments(), *tokenizer_, nullptr).value();
  for (const EvalText& text : texts) {
    for (const EvalCase& made : text.cases) {
      forms.insert(made.form);
      if (made.form == kTextForm) continue;
      EXPECT_EQ(made.continuation.turn_begin, 0u);
      EXPECT_EQ(absl::EndsWith(TextOf(made.continuation.prompt), "\nAnswer:"), made.form != "begun");
      EXPECT_FALSE(tokenizer_->IsSpecial(made.continuation.prompt.back()));
    }
  }
  EXPECT_EQ(forms.size(), 8u);  // the held-out text, and all of RecallForm
}

TEST_F(EvalTextsTest, CountsOfCases) {
  std::map<std::string, std::map<uint32_t, uint32_t>> count;  // [form][length]
  std::set<std::string> names;
  for (const EvalText& text : Make({.lengths = {1000, 2000, 4000}, .cases = 7, .context_length = 8192})) {
    EXPECT_TRUE(names.insert(text.name).second) << text.name;
    for (const EvalCase& made : text.cases) ++count[made.form][made.length];
  }
  for (const char* form : {"single", "pair", "alike", "table", "code"}) {
    for (uint32_t length : {1000, 2000, 4000}) EXPECT_EQ(count[form][length], 7u) << form << " " << length;
  }
  EXPECT_EQ(count["question-first"][1000], 7u);
  EXPECT_EQ(count["question-first"][2000], 4u);
  EXPECT_EQ(count["question-first"][4000], 4u);
  for (uint32_t length : {1000, 2000, 4000}) EXPECT_EQ(count[kTextForm][length], 3u);
}

TEST_F(EvalTextsTest, WhatDoesNotFitIsLeftOut) {
  for (const EvalText& text : Make({.lengths = {1500, 3000}, .cases = 5, .context_length = 2048})) {
    for (const EvalCase& made : text.cases) EXPECT_EQ(made.length, 1500u);
  }
  EXPECT_EQ(MakeEvalTexts({.lengths = {1500}, .context_length = 256}, HeldOutDocuments(), *tokenizer_, chat_.get())
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EvalTextsTest, TheHashTellsTextsApart) {
  const EvalTextOptions options{.lengths = {1500}, .cases = 5, .context_length = 8192};
  std::vector<EvalText> texts = Make(options);
  const std::string hash = HashOfTexts(texts);
  EXPECT_EQ(HashOfTexts(Make(options)), hash);
  texts.back().cases.back().continuation.prompt.back() ^= 1;
  EXPECT_NE(HashOfTexts(texts), hash);
}

TEST_F(EvalTextsTest, BadTextsAreErrors) {
  const EvalTextOptions options{.lengths = {500}, .context_length = 8192};
  EXPECT_EQ(MakeEvalTexts(options, {{{.name = "bad", .text = "\xff"}}}, *tokenizer_, chat_.get()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      MakeEvalTexts(options, {{{.name = "bad", .text = "no sentence"}}}, *tokenizer_, chat_.get()).status().code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kedge
