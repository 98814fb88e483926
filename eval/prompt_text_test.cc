#include "eval/prompt_text.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/tokenizer/test_vocabulary.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One token a byte.
class PromptTextTest : public testing::Test {
 protected:
  void UseTemplate(const std::string& source) {
    vocabulary_ = ByteVocabulary();
    vocabulary_.chat_template = source;
    file_ = MakeTestFile(vocabulary_);
    tokenizer_ = Tokenizer::Load(*file_.gguf).value();
    chat_ = ChatTemplate::Load(*file_.gguf, tokenizer_.get()).value();
  }

  std::string TextOf(absl::Span<const uint32_t> ids) {
    std::string text;
    for (uint32_t id : ids) absl::StrAppend(&text, tokenizer_->TokenBytes(id));
    return text;
  }
  std::vector<std::string> EvidenceOf(const EncodedQuestion& encoded) {
    std::vector<std::string> texts;
    for (const PositionRange& range : encoded.evidence) {
      texts.push_back(
          TextOf(absl::MakeSpan(encoded.continuation.prompt).subspan(range.begin, range.end - range.begin)));
    }
    return texts;
  }

  TestVocabulary vocabulary_;
  TestFile file_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<const ChatTemplate> chat_;
};

constexpr char kPlainTemplate[] =
    "{% for m in messages %}[{{ m['role'] }}:{{ m['content'] }}]{% endfor %}{% if add_generation_prompt %}>{% endif %}";
constexpr char kToolTemplate[] =
    "{% for t in tools %}<{{ t.function.name }}>{% endfor %}{% for m in messages %}[{{ m['role'] }}:{{ m['content'] }}"
    "{% for c in m.tool_calls %}({{ c.function.name }} {{ c.function.arguments | tojson }}){% endfor %}]{% endfor %}"
    "{% if add_generation_prompt %}>{% endif %}";

Question ToolQuestion() {
  Question question;
  question.chat.tools = {{.name = "look", .description = "Looks.", .parameters = "{}"}};
  question.chat.messages = {
      {.role = "user", .content = "Where?"},
      {.role = "assistant", .tool_calls = {{.id = "1", .name = "look", .arguments = "{\"a\": 1}"}}},
      {.role = "tool", .content = "here, there", .tool_call_id = "1", .name = "look"}};
  question.evidence = {{.message = 2, .bytes = {6, 11}}};
  return question;
}

TEST_F(PromptTextTest, EvidenceIsFoundInItsMessage) {
  UseTemplate(kPlainTemplate);
  Question question;
  question.chat.messages = {{.role = "system", .content = "red"}, {.role = "user", .content = "red blue red"}};
  question.evidence = {
      {.message = 1, .bytes = {9, 12}}, {.message = 0, .bytes = {0, 3}}, {.message = 1, .bytes = {4, 7}}};
  const EncodedQuestion encoded = EncodeQuestion(question, *tokenizer_, chat_.get()).value();
  EXPECT_EQ(TextOf(encoded.continuation.prompt), "[system:red][user:red blue red]>");
  EXPECT_EQ(encoded.evidence, (std::vector<PositionRange>{{8, 11}, {22, 25}, {27, 30}}));
}

TEST_F(PromptTextTest, WhatATemplateWritesOtherwiseIsNeededWhole) {
  UseTemplate(
      "{% for m in messages %}[{{ m['role'] }}:{{ m['content'] | upper }}]{% endfor %}{% if add_generation_prompt "
      "%}>{% "
      "endif %}");
  Question question;
  question.chat.messages = {{.role = "user", .content = "red blue"}};
  question.evidence = {{.message = 0, .bytes = {0, 3}}};
  const EncodedQuestion encoded = EncodeQuestion(question, *tokenizer_, chat_.get()).value();
  ASSERT_EQ(encoded.evidence.size(), 1u);
  EXPECT_THAT(EvidenceOf(encoded)[0], HasSubstr("RED BLUE"));
}

TEST_F(PromptTextTest, ToolsGoThroughATemplateThatWritesThem) {
  UseTemplate(kToolTemplate);
  const EncodedQuestion encoded = EncodeQuestion(ToolQuestion(), *tokenizer_, chat_.get()).value();
  const std::string text = TextOf(encoded.continuation.prompt);
  EXPECT_THAT(text, HasSubstr("<look>"));
  EXPECT_THAT(text, HasSubstr("(look {\"a\": 1})"));
  EXPECT_THAT(text, HasSubstr("[tool:here, there]"));
  EXPECT_THAT(EvidenceOf(encoded), ElementsAre("there"));
}

TEST_F(PromptTextTest, WithoutToolsInTheTemplateCallsAreWhatIsSaid) {
  UseTemplate(kPlainTemplate);
  const EncodedQuestion encoded = EncodeQuestion(ToolQuestion(), *tokenizer_, chat_.get()).value();
  EXPECT_EQ(TextOf(encoded.continuation.prompt), "[user:Where?][assistant:look({\"a\": 1})][tool:here, there]>");
  EXPECT_THAT(EvidenceOf(encoded), ElementsAre("there"));
}

TEST_F(PromptTextTest, WhereNobodyHasTheRoleTheUserGivesTheResult) {
  UseTemplate(
      absl::StrCat("{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
                   "{% endfor %}",
                   kPlainTemplate));
  const EncodedQuestion encoded = EncodeQuestion(ToolQuestion(), *tokenizer_, chat_.get()).value();
  EXPECT_EQ(TextOf(encoded.continuation.prompt), "[user:Where?][assistant:look({\"a\": 1})][user:here, there]>");
}

TEST_F(PromptTextTest, ErrorsOfOtherChatsAreTold) {
  UseTemplate("{{ raise_exception('never') if messages | length > 1 }}{{ messages[0].content }}");
  Question question;
  question.chat.messages = {{.role = "system", .content = "red"}, {.role = "user", .content = "blue"}};
  EXPECT_EQ(EncodeQuestion(question, *tokenizer_, chat_.get()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeMessage("\xff", *tokenizer_, nullptr).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FillerOfTest, OrdinaryTextAlone) {
  const HeldOutDocument documents[] = {{.kind = "code", .name = "a", .text = "This is a comment in code."},
                                       {.kind = "prose", .name = "b", .text = "This is a sentence of prose."},
                                       {.kind = "data", .name = "c", .text = "This is a remark in a table."},
                                       {.kind = "", .name = "d", .text = "This is somebody's own sentence."}};
  EXPECT_THAT(FillerOf(documents), ElementsAre("This is a sentence of prose.", "This is somebody's own sentence."));
}

TEST(HeldOutTest, NothingIsMeasuredOnWhatSettingsAreFittedOn) {
  std::set<std::string> fitted;
  for (std::string& sentence : FillerOf(CalibrationDocuments())) fitted.insert(std::move(sentence));
  EXPECT_GT(fitted.size(), 200u);
  size_t measured = 0, shared = 0;
  for (const std::string& sentence : FillerOf(HeldOutDocuments())) {
    ++measured;
    shared += fitted.count(sentence);
  }
  EXPECT_GT(measured, 2000u);
  EXPECT_EQ(shared, 0u);
}

TEST(HeldOutTest, DocumentsOfFourKinds) {
  std::set<std::string> names;
  std::vector<std::string> kinds;
  for (const HeldOutDocument& document : HeldOutDocuments()) {
    EXPECT_TRUE(names.insert(std::string(document.name)).second) << document.name;
    EXPECT_GT(document.text.size(), 3500u) << document.name;
    if (kinds.empty() || kinds.back() != document.kind) kinds.emplace_back(document.kind);
  }
  EXPECT_THAT(kinds, ElementsAre("prose", "documentation", "code", "data"));
  EXPECT_GE(names.size(), 100u);
}

}  // namespace
}  // namespace kedge
