// A template is recognised by what it says, not by how it is written: its outline (jinja_outline.h) must be, step for
// step, that of ChatML, which is written here in Jinja as well. Any further step, filter or condition would render
// something else, so the template is unknown then.
//
// ChatML is, per message, <|im_start|> ROLE \n CONTENT <|im_end|> \n. The two names are special tokens; what stands
// between them is encoded as one piece of plain text, as it was in the model's training, so nothing that a user writes
// becomes a control token.
// Tested by chat_template_test.cc and tokenizer_golden_test.cc.
#include "common/tokenizer/chat_template.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/jinja_outline.h"
#include "common/tokenizer/sentence_splitter.h"
#include "common/tokenizer/utf8.h"

namespace kedge {
namespace {

constexpr char kTemplateKey[] = "tokenizer.chat_template";
constexpr absl::string_view kStart = "<|im_start|>";
constexpr absl::string_view kEnd = "<|im_end|>";
constexpr absl::string_view kAnswerOpener = "assistant\n";
constexpr absl::string_view kRoles[] = {"system", "user", "assistant", "tool"};

// ChatML's steps in Jinja.
constexpr absl::string_view kDefaultFlag =
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}";
constexpr absl::string_view kNoSystem = "{% if messages[0].role != 'system' %}";
constexpr absl::string_view kNoSystemInLoop = "{% if loop.first and messages[0].role != 'system' %}";
constexpr absl::string_view kEndIf = "{% endif %}";
constexpr absl::string_view kLoop = "{% for message in messages %}";
constexpr absl::string_view kMessages =
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Walks along an outline.
class OutlineReader {
 public:
  explicit OutlineReader(std::vector<JinjaItem> items) : items_(std::move(items)) {}

  // Steps over what `jinja` says and returns true, if that comes next.
  bool Consume(absl::string_view jinja) {
    const auto expected = OutlineJinja(jinja);
    KEDGE_CHECK(expected.ok());
    if (items_.size() - next_ < expected->size()) return false;
    if (!std::equal(expected->begin(), expected->end(), items_.begin() + next_)) return false;
    next_ += expected->size();
    return true;
  }

  // Steps over a system message with fixed content under `condition` and returns the content, if that comes next.
  std::optional<std::string> ConsumeDefaultSystem(absl::string_view condition) {
    const size_t begin = next_;
    if (Consume(condition) && next_ < items_.size() && items_[next_].kind == JinjaItem::Kind::kOutput &&
        items_[next_].tokens.size() == 1 && items_[next_].tokens[0].kind == JinjaToken::Kind::kLiteral) {
      absl::string_view content = items_[next_].tokens[0].text;
      ++next_;
      if (absl::ConsumePrefix(&content, absl::StrCat(kStart, "system\n")) &&
          absl::ConsumeSuffix(&content, absl::StrCat(kEnd, "\n")) && !absl::StrContains(content, kStart) &&
          !absl::StrContains(content, kEnd) && Consume(kEndIf)) {
        return std::string(content);
      }
    }
    next_ = begin;
    return std::nullopt;
  }

  bool AtEnd() const { return next_ == items_.size(); }

 private:
  std::vector<JinjaItem> items_;
  size_t next_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Recognise(const GgufFile& file,
                                                                            const Tokenizer* tokenizer) {
  if (!file.Has(kTemplateKey)) {
    return absl::NotFoundError(absl::StrCat(file.name(), ": has no ", kTemplateKey,
                                            ": not a chat model; send the prompt as plain text (--raw, or the field "
                                            "text) or as token ids"));
  }
  KEDGE_ASSIGN_OR_RETURN(const std::string source, file.GetString(kTemplateKey));
  const auto unknown = [&](absl::string_view reason) {
    return absl::UnimplementedError(
        absl::StrCat(file.name(), ": ", kTemplateKey, ": ", reason,
                     "; Kedge knows ChatML. Send the prompt as plain text (--raw, or the field text) or as token ids"));
  };
  auto items = OutlineJinja(source);
  if (!items.ok()) return unknown(items.status().message());

  auto result = std::unique_ptr<ChatTemplate>(new ChatTemplate());
  OutlineReader outline(*std::move(items));
  outline.Consume(kDefaultFlag);
  result->default_system_ = outline.ConsumeDefaultSystem(kNoSystem);
  bool recognised = outline.Consume(kLoop);
  if (!result->default_system_.has_value()) {
    result->default_system_ = outline.ConsumeDefaultSystem(kNoSystemInLoop);
  }
  recognised = recognised && outline.Consume(kMessages) && outline.AtEnd();
  if (!recognised) return unknown("an unknown template");

  const std::optional<uint32_t> start = tokenizer->SpecialId(kStart);
  const std::optional<uint32_t> end = tokenizer->SpecialId(kEnd);
  if (!start.has_value() || !end.has_value()) {
    return unknown(absl::StrCat("ChatML, but the vocabulary has no special token ", start.has_value() ? kEnd : kStart));
  }
  result->name_ = "chatml";
  result->tokenizer_ = tokenizer;
  result->start_ = *start;
  result->end_ = *end;
  return std::unique_ptr<const ChatTemplate>(std::move(result));
}

absl::StatusOr<PromptTokens> ChatTemplate::Apply(absl::Span<const ChatMessage> messages,
                                                 bool add_generation_prompt,
                                                 std::optional<uint32_t> anchor) const {
  if (messages.empty()) return absl::InvalidArgumentError("messages: there are none");
  for (size_t i = 0; i < messages.size(); ++i) {
    if (std::find(std::begin(kRoles), std::end(kRoles), messages[i].role) == std::end(kRoles)) {
      return absl::InvalidArgumentError(
          absl::StrCat("messages[", i, "].role: must be system, user, assistant or tool"));
    }
    if (const std::optional<size_t> offset = FindInvalidUtf8(messages[i].content)) {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "].content: not valid UTF-8 at byte ", *offset));
    }
  }

  PromptTokens prompt;
  // Appends <|im_start|> and `text`, whose first `opener_bytes` bytes are the opener of an answer (0: no answer), and
  // which has anchors at `places`, all of them behind the opener.
  const auto append_start = [&](absl::string_view text, size_t opener_bytes,
                                absl::Span<const size_t> places) -> absl::Status {
    KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> ids,
                           EncodeWithAnchors(*tokenizer_, CutAtPlaces(text, places), anchor.value_or(0)));
    prompt.ids.push_back(start_);
    prompt.no_anchor.push_back(opener_bytes > 0);
    size_t offset = 0;
    for (const uint32_t id : ids) {
      prompt.ids.push_back(id);
      // Also a token that begins in the opener and ends in the answer: it is the one with the opener's line feed.
      prompt.no_anchor.push_back(offset < opener_bytes);
      offset += tokenizer_->TokenBytes(id).size();
    }
    return absl::OkStatus();
  };
  KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> line_feed, tokenizer_->Encode("\n"));
  const auto append_message = [&](absl::string_view role, absl::string_view content) -> absl::Status {
    const std::string header = absl::StrCat(role, "\n");
    std::vector<size_t> places;
    if (anchor.has_value()) places = FindSentenceBreaks(content);
    for (size_t& place : places) place += header.size();
    KEDGE_RETURN_IF_ERROR(
        append_start(absl::StrCat(header, content), role == "assistant" ? kAnswerOpener.size() : 0, places));
    prompt.ids.push_back(end_);
    prompt.ids.insert(prompt.ids.end(), line_feed.begin(), line_feed.end());
    prompt.no_anchor.resize(prompt.ids.size(), false);
    return absl::OkStatus();
  };

  if (default_system_.has_value() && messages[0].role != "system") {
    KEDGE_RETURN_IF_ERROR(append_message("system", *default_system_));
  }
  for (const ChatMessage& message : messages) {
    KEDGE_RETURN_IF_ERROR(append_message(message.role, message.content));
  }
  if (add_generation_prompt) {
    KEDGE_RETURN_IF_ERROR(append_start(kAnswerOpener, kAnswerOpener.size(), {}));
  }
  return prompt;
}

}  // namespace kedge
