#include "eval/eval_texts.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/model/gguf.h"
#include "common/testing/tiny_model.h"
#include "eval/forms/text_kinds.h"
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
  std::map<std::string, std::string> kinds;  // of names
  for (const EvalText& text : Make({.lengths = {1500, 3000}, .cases = 7, .context_length = 8192})) {
    SCOPED_TRACE(text.name);
    EXPECT_TRUE(kinds.emplace(text.name, text.kind).second);
    EXPECT_FALSE(text.kind.empty());
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
      EXPECT_GT(made.fork, prompt.size() * 0.7);
      EXPECT_EQ(made.continuation.given.empty(), made.continuation.max_new > 0);
      EXPECT_EQ(made.expected.empty(), made.form == kTextForm);
      EXPECT_EQ(made.evidence.empty(), made.form == kTextForm);
      if (made.form == kTextForm) {
        EXPECT_EQ(prompt.size(), made.length);
        continue;
      }
      EXPECT_TRUE(FoundInReply(made.expected, made.check).all);
      EXPECT_FALSE(made.continuation.no_anchor_positions.empty());
      EXPECT_LE(tokenizer_->Encode(made.expected)->size(), made.continuation.max_new) << "no room to say it";
    }
  }
}

TEST_F(EvalTextsTest, WithoutAChatQuestionsArePlainText) {
  const EvalTextOptions options{.lengths = {1000}, .cases = 5, .context_length = 8192};
  std::set<std::string> forms;
  const std::vector<EvalText> texts = MakeEvalTexts(options, HeldOutDocuments(), *tokenizer_, nullptr).value();
  for (const EvalText& text : texts) {
    for (const EvalCase& made : text.cases) {
      forms.insert(made.form);
      if (made.form == kTextForm) continue;
      EXPECT_EQ(made.continuation.turn_begin, 0u);
      EXPECT_EQ(absl::EndsWith(TextOf(made.continuation.prompt), "\nAnswer:"), made.form != "begun");
      EXPECT_TRUE(absl::StartsWith(made.expected, " "));
      EXPECT_FALSE(tokenizer_->IsSpecial(made.continuation.prompt.back()));
    }
  }
  std::set<std::string> wanted = {kTextForm};
  for (const TextKind& kind : TextKinds()) {
    if (!kind.is_chat) wanted.insert(kind.forms.begin(), kind.forms.end());
  }
  EXPECT_EQ(forms, wanted);
}

TEST_F(EvalTextsTest, CountsOfCases) {
  EXPECT_EQ(CasesOf(10, 500, false), 15u);
  EXPECT_EQ(CasesOf(10, 1000, false), 10u);
  EXPECT_EQ(CasesOf(10, 2000, false), 4u);
  EXPECT_EQ(CasesOf(10, 4000, false), 2u);
  EXPECT_EQ(CasesOf(1, 4000, false), 1u);
  EXPECT_EQ(CasesOf(10, 500, true), 8u);
  EXPECT_EQ(CasesOf(10, 1000, true), 5u);
  EXPECT_EQ(CasesOf(10, 1001, true), 0u);

  std::map<std::string, std::map<uint32_t, uint32_t>> count;  // [form][length]
  for (const EvalText& text : Make({.lengths = {1000, 2000, 4000}, .cases = 7, .context_length = 16384})) {
    for (const EvalCase& made : text.cases) ++count[made.form][made.length];
  }
  for (const TextKind& kind : TextKinds()) {
    for (const std::string& form : kind.forms) {
      if (form == "begun") continue;
      for (uint32_t length : {1000, 2000, 4000}) {
        EXPECT_EQ(count[form][length], CasesOf(7, length, kind.is_alone)) << form << " " << length;
      }
    }
  }
}

TEST_F(EvalTextsTest, EachDocumentIsContinuedOnceBehindOneOfTheLongestLengthsThatItHasTokensFor) {
  std::map<std::string, std::map<uint32_t, int>> count;  // [kind][length]
  for (const EvalText& text : Make({.lengths = {200, 500, 1000}, .cases = 1, .context_length = 1100})) {
    if (text.cases[0].form != kTextForm) continue;
    ASSERT_EQ(text.cases.size(), 1u);
    EXPECT_EQ(text.cases[0].continuation.given.size(), 128u);
    ++count[text.kind][text.cases[0].length];
  }
  EXPECT_EQ(count.size(), 4u);
  int all = 0;
  for (const auto& [kind, lengths] : count) {
    // 1,000 tokens and those that are scored are more than the context.
    EXPECT_EQ(lengths.count(1000), 0u);
    EXPECT_GE(lengths.at(200), 10) << kind;
    EXPECT_GE(lengths.at(500), 10) << kind;
    all += lengths.at(200) + lengths.at(500);
  }
  EXPECT_GE(all, 100);
}

TEST_F(EvalTextsTest, ATextOfOnesOwnIsContinuedBehindEachLength) {
  const HeldOutDocument own{.name = "own", .text = HeldOutDocuments()[0].text};
  const EvalTextOptions options{.lengths = {200, 300, 500, 100000}, .cases = 1, .context_length = 200000};
  const EvalText text = MakeEvalTexts(options, {&own, 1}, *tokenizer_, chat_.get()).value()[0];
  EXPECT_EQ(text.name, "text-own");
  std::vector<uint32_t> lengths;
  for (const EvalCase& made : text.cases) lengths.push_back(made.length);
  EXPECT_EQ(lengths, (std::vector<uint32_t>{200, 300, 500}));
}

TEST_F(EvalTextsTest, WhatDoesNotFitIsLeftOut) {
  for (const EvalText& text : Make({.lengths = {800, 3000}, .cases = 5, .context_length = 2048})) {
    for (const EvalCase& made : text.cases) {
      EXPECT_LE(made.continuation.prompt.size() + made.continuation.max_new, 2048u);
      EXPECT_EQ(made.length, 800u);
    }
  }
  EXPECT_EQ(MakeEvalTexts({.lengths = {1500}, .cases = 2, .context_length = 100}, HeldOutDocuments(), *tokenizer_,
                          chat_.get())
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EvalTextsTest, TheHashTellsTextsApart) {
  const EvalTextOptions options{.lengths = {600}, .cases = 1, .context_length = 8192};
  const std::vector<EvalText> texts = Make(options);
  const std::string hash = HashOfTexts(texts);
  EXPECT_EQ(HashOfTexts(Make(options)), hash);
  const std::function<void(EvalCase&)> kChanges[] = {[](EvalCase& made) { made.continuation.prompt.back() ^= 1; },
                                                     [](EvalCase& made) { made.continuation.given.push_back(1); },
                                                     [](EvalCase& made) { ++made.continuation.max_new; },
                                                     [](EvalCase& made) { made.continuation.cuts.pop_back(); },
                                                     [](EvalCase& made) { made.check.answers[0] += "1"; },
                                                     [](EvalCase& made) { made.check.forbidden.push_back("1"); },
                                                     [](EvalCase& made) { made.check.last_word = "1"; },
                                                     [](EvalCase& made) { made.check.json = true; },
                                                     [](EvalCase& made) { made.expected += "1"; },
                                                     [](EvalCase& made) { ++made.evidence[0].end; },
                                                     [](EvalCase& made) { --made.fork; },
                                                     [](EvalCase& made) { made.form += "1"; }};
  for (const auto& change : kChanges) {
    std::vector<EvalText> changed = texts;
    change(changed.back().cases.back());
    EXPECT_NE(HashOfTexts(changed), hash) << &change - kChanges;
  }
}

TEST_F(EvalTextsTest, BadTextsAreErrors) {
  const EvalTextOptions options{.lengths = {500}, .cases = 1, .context_length = 8192};
  EXPECT_EQ(MakeEvalTexts(options, {{{.name = "bad", .text = "\xff"}}}, *tokenizer_, chat_.get()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      MakeEvalTexts(options, {{{.name = "bad", .text = "no sentence"}}}, *tokenizer_, chat_.get()).status().code(),
      absl::StatusCode::kInvalidArgument);
}

// What is promised of a whole run, with the vocabulary and the template of a model that people use. KEDGE_MODEL may
// name several files, separated by colons.
TEST(EvalTextsOfModelsTest, AThousandQuestionsOfEveryFormWithinTheirLengths) {
  const char* const files = std::getenv("KEDGE_MODEL");
  if (files == nullptr) GTEST_SKIP() << "set KEDGE_MODEL to the files of models";
  for (absl::string_view path : absl::StrSplit(files, ':')) {
    SCOPED_TRACE(path);
    const auto file = GgufFile::Open(std::string(path)).value();
    const auto tokenizer = Tokenizer::Load(*file).value();
    const auto chat = ChatTemplate::Load(*file, tokenizer.get()).value();
    const std::vector<uint32_t> lengths = {500, 1000, 2000, 4000};
    size_t cases = 0, texts = 0, tokens = 0, continued = 0;
    const std::vector<EvalText> made_texts =
        MakeEvalTexts({.lengths = lengths, .context_length = 8192}, HeldOutDocuments(), *tokenizer, chat.get()).value();
    for (const EvalText& text : made_texts) {
      SCOPED_TRACE(text.name);
      if (text.cases[0].form == kTextForm) {
        ++continued;
        continue;
      }
      ++texts;
      tokens += text.cases[0].fork;
      for (const EvalCase& made : text.cases) {
        SCOPED_TRACE(made.form);
        ++cases;
        const std::vector<uint32_t>& prompt = made.continuation.prompt;
        tokens += prompt.size() - made.fork;
        EXPECT_LE(prompt.size(), made.length * 1.06 + 130);
        EXPECT_GE(prompt.size(), made.length * 0.7);
        std::string evidence;
        for (const PositionRange& range : made.evidence) {
          for (uint32_t i = range.begin; i < range.end; ++i)
            absl::StrAppend(&evidence, tokenizer->TokenBytes(prompt[i]));
        }
        for (const std::string& answer : made.check.answers) EXPECT_TRUE(absl::StrContains(evidence, answer)) << answer;
        EXPECT_LE(tokenizer->Encode(made.expected)->size(), made.continuation.max_new);
      }
    }
    EXPECT_GE(cases, 1000u);
    EXPECT_GE(texts, 200u);
    EXPECT_GE(continued, 100u);
    EXPECT_LE(tokens, 310000u);
  }
}

}  // namespace
}  // namespace kedge
