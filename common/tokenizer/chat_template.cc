// Each format is a sequence of special tokens and of text between them, which PromptBuilder encodes; the text that the
// template writes and that of the messages go into one piece. What opens an answer, the last and every earlier one, is
// marked on the way.
// Tested by chat_template_test.cc, chat_golden_test.cc and tokenizer_golden_test.cc.
#include "common/tokenizer/chat_template.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/tokenizer/utf8.h"

namespace kedge {
namespace {

using Part = PromptBuilder::Part;

constexpr char kTemplateKey[] = "tokenizer.chat_template";

Part OpenerIf(const ChatMessage& message) { return message.role == "assistant" ? Part::kOpener : Part::kPlain; }

// The special tokens that a format cannot do without.
std::vector<absl::string_view> NeededTokens(ChatFormatKind kind) {
  switch (kind) {
    case ChatFormatKind::kChatMl:
      return {"<|im_start|>", "<|im_end|>"};
    case ChatFormatKind::kLlama3:
      return {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};
    case ChatFormatKind::kLlama2:
    case ChatFormatKind::kZephyr:
      return {};
  }
  return {};
}

// What the vocabulary lacks for the format; nullopt if it lacks nothing.
std::optional<std::string> MissingToken(const ChatFormat& format, const Tokenizer& tokenizer) {
  for (const absl::string_view spelling : NeededTokens(format.kind)) {
    if (!tokenizer.SpecialId(spelling).has_value()) return absl::StrCat("no special token ", spelling);
  }
  const bool needs_bos = format.kind == ChatFormatKind::kLlama2 || format.kind == ChatFormatKind::kLlama3;
  const bool needs_eos = format.kind == ChatFormatKind::kLlama2 || format.kind == ChatFormatKind::kZephyr;
  if (needs_bos && !tokenizer.bos().has_value()) return "no token that begins a text (tokenizer.ggml.bos_token_id)";
  if (needs_eos && !tokenizer.eos().has_value()) return "no token that ends a text (tokenizer.ggml.eos_token_id)";
  return std::nullopt;
}

// Only ChatML and Llama 3 write any role that there is.
std::vector<absl::string_view> Roles(ChatFormatKind kind) {
  if (kind == ChatFormatKind::kChatMl || kind == ChatFormatKind::kLlama3) {
    return {"system", "user", "assistant", "tool"};
  }
  return {"system", "user", "assistant"};
}

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
        absl::StrCat(file.name(), ": ", kTemplateKey, ": ", reason, "; Kedge knows ", kChatFormatNames,
                     ". Send the prompt as plain text (--raw, or the field text) or as token ids"));
  };
  absl::StatusOr<ChatFormat> format = RecogniseChatFormat(source);
  if (!format.ok()) return unknown(format.status().message());
  if (const std::optional<std::string> missing = MissingToken(*format, *tokenizer)) {
    return unknown(absl::StrCat(format->name, ", but the vocabulary has ", *missing));
  }
  auto result = std::unique_ptr<ChatTemplate>(new ChatTemplate());
  result->format_ = *std::move(format);
  result->tokenizer_ = tokenizer;
  return std::unique_ptr<const ChatTemplate>(std::move(result));
}

absl::Status ChatTemplate::CheckMessages(absl::Span<const ChatMessage> messages) const {
  if (messages.empty()) return absl::InvalidArgumentError("messages: there are none");
  const std::vector<absl::string_view> roles = Roles(format_.kind);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (std::find(roles.begin(), roles.end(), messages[i].role) == roles.end()) {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "].role: must be one of ",
                                                     absl::StrJoin(roles, ", "), " (the model's template is ", name(),
                                                     ")"));
    }
    if (const std::optional<size_t> offset = FindInvalidUtf8(messages[i].content)) {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "].content: not valid UTF-8 at byte ", *offset));
    }
  }
  if (format_.kind != ChatFormatKind::kLlama2) return absl::OkStatus();
  const size_t first = messages[0].role == "system" ? 1 : 0;
  if (first == messages.size()) {
    return absl::InvalidArgumentError("messages: a system message alone (the model's template, llama2, writes it into "
                                      "the first user message)");
  }
  for (size_t i = first; i < messages.size(); ++i) {
    const absl::string_view role = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != role) {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "].role: must be ", role, ", since in the model's "
                                                     "template (llama2) user and assistant take turns"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PromptTokens> ChatTemplate::Apply(absl::Span<const ChatMessage> messages,
                                                 bool add_generation_prompt,
                                                 std::optional<uint32_t> anchor) const {
  KEDGE_RETURN_IF_ERROR(CheckMessages(messages));
  const bool opens_answer = add_generation_prompt || format_.always_opens_answer;
  PromptBuilder prompt(tokenizer_, anchor);
  switch (format_.kind) {
    case ChatFormatKind::kChatMl:
      RenderChatMl(messages, opens_answer, prompt);
      break;
    case ChatFormatKind::kLlama2:
      RenderLlama2(messages, prompt);
      break;
    case ChatFormatKind::kLlama3:
      RenderLlama3(messages, opens_answer, prompt);
      break;
    case ChatFormatKind::kZephyr:
      RenderZephyr(messages, opens_answer, prompt);
      break;
  }
  return prompt.Finish();
}

// Per message <|im_start|> ROLE \n CONTENT <|im_end|> \n.
void ChatTemplate::RenderChatMl(absl::Span<const ChatMessage> messages, bool opens_answer,
                                PromptBuilder& prompt) const {
  if (tokenizer_->bos_to_add().has_value()) prompt.Token(*tokenizer_->bos_to_add());
  const auto begin = [&](absl::string_view role, Part part) {
    prompt.Mark("<|im_start|>", part);
    prompt.Text(absl::StrCat(role, "\n"), part);
  };
  const auto end = [&] {
    prompt.Mark("<|im_end|>");
    prompt.Text("\n");
  };
  if (format_.default_system.has_value() && messages[0].role != "system") {
    begin("system", Part::kPlain);
    prompt.Text(*format_.default_system);
    end();
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    begin(messages[i].role, OpenerIf(messages[i]));
    prompt.Content(i, messages[i].content);
    end();
  }
  if (opens_answer) begin("assistant", Part::kOpener);
}

// Per turn BOS [INST] QUESTION [/INST] ANSWER EOS. A question always opens an answer. The system message stands in the
// first question between marks of its own.
void ChatTemplate::RenderLlama2(absl::Span<const ChatMessage> messages, PromptBuilder& prompt) const {
  const bool has_system = messages[0].role == "system";
  for (size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
    if (messages[i].role == "user") {
      prompt.Token(*tokenizer_->bos());
      prompt.Mark("[INST]");
      prompt.Text(" ");
      if (has_system && i == 1) {  // what is stripped is the question with the system message before it
        prompt.Text("<<SYS>>\n");
        prompt.Content(0, messages[0].content);
        const absl::string_view question = StripWhiteSpaceRight(messages[i].content);
        prompt.Text(question.empty() ? "\n<</SYS>>" : "\n<</SYS>>\n\n");
        prompt.Content(i, question);
      } else {
        prompt.Content(i, StripWhiteSpace(messages[i].content));
      }
      prompt.Text(" ", Part::kOpener);
      prompt.Mark("[/INST]", Part::kOpener);
    } else {
      prompt.Text(" ");
      prompt.Content(i, StripWhiteSpace(messages[i].content));
      prompt.Text(" ");
      prompt.Token(*tokenizer_->eos());
    }
  }
}

// BOS, then per message <|start_header_id|> ROLE <|end_header_id|> \n\n CONTENT <|eot_id|>.
void ChatTemplate::RenderLlama3(absl::Span<const ChatMessage> messages, bool opens_answer,
                                PromptBuilder& prompt) const {
  const auto append_header = [&](absl::string_view role, Part part) {
    prompt.Mark("<|start_header_id|>", part);
    prompt.Text(role, part);
    prompt.Mark("<|end_header_id|>", part);
    prompt.Text("\n\n", part);
  };
  prompt.Token(*tokenizer_->bos());
  for (size_t i = 0; i < messages.size(); ++i) {
    append_header(messages[i].role, OpenerIf(messages[i]));
    prompt.Content(i, StripWhiteSpace(messages[i].content));
    prompt.Mark("<|eot_id|>");
  }
  if (opens_answer) append_header("assistant", Part::kOpener);
}

// Per message <|ROLE|> \n CONTENT EOS \n. The marks are plain text in most vocabularies.
void ChatTemplate::RenderZephyr(absl::Span<const ChatMessage> messages, bool opens_answer,
                                PromptBuilder& prompt) const {
  if (tokenizer_->bos_to_add().has_value()) prompt.Token(*tokenizer_->bos_to_add());
  for (size_t i = 0; i < messages.size(); ++i) {
    prompt.Mark(absl::StrCat("<|", messages[i].role, "|>"), OpenerIf(messages[i]));
    prompt.Text("\n", OpenerIf(messages[i]));
    prompt.Content(i, messages[i].content);
    prompt.Token(*tokenizer_->eos());
    prompt.Text("\n");
  }
  if (opens_answer) {
    prompt.Mark("<|assistant|>", Part::kOpener);
    prompt.Text("\n", Part::kOpener);
  }
}

}  // namespace kedge
