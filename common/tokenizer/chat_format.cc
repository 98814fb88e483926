// A template is recognised by what it says, not by how it is written: its outline (jinja_outline.h) must be, step for
// step, that of a format, which is written here in Jinja as well. Any further step, filter or condition would render
// something else, so the template is unknown then.
// Tested by chat_template_test.cc and chat_golden_test.cc.
#include "common/tokenizer/chat_format.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/tokenizer/jinja_outline.h"

namespace kedge {
namespace {

constexpr absl::string_view kEndIf = "{% endif %}";
constexpr absl::string_view kDefaultFlag =
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}";
constexpr absl::string_view kLoop = "{% for message in messages %}";

// ChatML.
constexpr absl::string_view kStart = "<|im_start|>";
constexpr absl::string_view kEnd = "<|im_end|>";
constexpr absl::string_view kNoSystem = "{% if messages[0].role != 'system' %}";
constexpr absl::string_view kNoSystemInLoop = "{% if loop.first and messages[0].role != 'system' %}";
constexpr absl::string_view kChatMlMessages =
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Llama 2. A first system message goes into the first user message; then users and assistants take turns.
constexpr absl::string_view kLlama2System =
    "{% if messages[0].role == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0].content %}";
constexpr absl::string_view kLlama2Messages =
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message.content %}"
    "{% else %}{% set content = message.content %}{% endif %}"
    "{% if message.role == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}";
// Its first edition had this branch too, which no conversation of whole turns gets to.
constexpr absl::string_view kLlama2LateSystem =
    "{% elif message.role == 'system' %}{{ '<<SYS>>\\n' + content.strip() + '\\n<</SYS>>\\n\\n' }}";
constexpr absl::string_view kLlama2Answers =
    "{% elif message.role == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

// Llama 3.
constexpr absl::string_view kLlama3Messages =
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content.strip() +"
    " '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}";
constexpr absl::string_view kLlama3Opener = "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}";
constexpr absl::string_view kIfAnswer = "{% if add_generation_prompt %}";

// Zephyr.
constexpr absl::string_view kZephyrMessages =
    "{% for message in messages %}"
    "{% if message.role == 'user' %}{{ '<|user|>\\n' + message.content + eos_token + '\\n' }}"
    "{% elif message.role == 'system' %}{{ '<|system|>\\n' + message.content + eos_token + '\\n' }}"
    "{% elif message.role == 'assistant' %}{{ '<|assistant|>\\n' + message.content + eos_token + '\\n' }}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}";

// Walks along an outline.
class OutlineReader {
 public:
  explicit OutlineReader(const std::vector<JinjaItem>* items) : items_(*items) {}

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
  const std::vector<JinjaItem>& items_;
  size_t next_ = 0;
};

std::optional<ChatFormat> ReadChatMl(OutlineReader outline) {
  ChatFormat format{ChatFormatKind::kChatMl, "chatml"};
  outline.Consume(kDefaultFlag);
  format.default_system = outline.ConsumeDefaultSystem(kNoSystem);
  if (!outline.Consume(kLoop)) return std::nullopt;
  if (!format.default_system.has_value()) format.default_system = outline.ConsumeDefaultSystem(kNoSystemInLoop);
  if (!outline.Consume(kChatMlMessages) || !outline.AtEnd()) return std::nullopt;
  return format;
}

std::optional<ChatFormat> ReadLlama2(OutlineReader outline) {
  if (!outline.Consume(kLlama2System) || !outline.Consume(kLlama2Messages)) return std::nullopt;
  outline.Consume(kLlama2LateSystem);
  if (!outline.Consume(kLlama2Answers) || !outline.AtEnd()) return std::nullopt;
  return ChatFormat{ChatFormatKind::kLlama2, "llama2"};
}

std::optional<ChatFormat> ReadLlama3(OutlineReader outline) {
  ChatFormat format{ChatFormatKind::kLlama3, "llama3"};
  if (!outline.Consume(kLlama3Messages)) return std::nullopt;
  format.always_opens_answer = !outline.Consume(kIfAnswer);
  if (!outline.Consume(kLlama3Opener)) return std::nullopt;
  if (!format.always_opens_answer && !outline.Consume(kEndIf)) return std::nullopt;
  if (!outline.AtEnd()) return std::nullopt;
  return format;
}

std::optional<ChatFormat> ReadZephyr(OutlineReader outline) {
  if (!outline.Consume(kZephyrMessages) || !outline.AtEnd()) return std::nullopt;
  return ChatFormat{ChatFormatKind::kZephyr, "zephyr"};
}

}  // namespace

absl::StatusOr<ChatFormat> RecogniseChatFormat(absl::string_view source) {
  KEDGE_ASSIGN_OR_RETURN(const std::vector<JinjaItem> items, OutlineJinja(source));
  for (const auto read : {ReadChatMl, ReadLlama2, ReadLlama3, ReadZephyr}) {
    if (std::optional<ChatFormat> format = read(OutlineReader(&items))) return *std::move(format);
  }
  return absl::InvalidArgumentError("an unknown template");
}

}  // namespace kedge
