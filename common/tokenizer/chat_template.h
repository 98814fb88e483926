// Chat messages to prompt tokens.
#ifndef KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_
#define KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/gguf.h"
#include "common/tokenizer/chat_format.h"
#include "common/tokenizer/prompt_builder.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

struct ChatMessage {
  std::string role;  // system, user, assistant or tool
  std::string content;
};

// A template recognised from the GGUF's `tokenizer.chat_template`; Kedge does not interpret Jinja (chat_format.h).
// Thread-safe (immutable).
class ChatTemplate {
 public:
  // kNotFound: the model has no template (not a chat model). kUnimplemented: an unknown template; the message says
  // that a prompt can be sent as plain text (`--raw`, or the field `text`) or as token ids.
  // `tokenizer` must outlive the result.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Recognise(const GgufFile& file,
                                                                       const Tokenizer* tokenizer);

  // The tokens of what the model's template renders, after the token that begins every prompt if the tokenizer has one
  // (bos_to_add) and the template does not write it itself.
  // kInvalidArgument names the field: no messages, a role that the template does not have or not at this place, content
  // that is not UTF-8.
  // `anchor`: a token to put between the sentences of each message's content (anchored_text.h).
  absl::StatusOr<PromptTokens> Apply(absl::Span<const ChatMessage> messages, bool add_generation_prompt,
                                     std::optional<uint32_t> anchor = std::nullopt) const;

  // "chatml", "llama2", "llama3" or "zephyr".
  const std::string& name() const { return format_.name; }

 private:
  ChatTemplate() = default;
  absl::Status CheckMessages(absl::Span<const ChatMessage> messages) const;
  void RenderChatMl(absl::Span<const ChatMessage> messages, bool opens_answer, PromptBuilder& prompt) const;
  void RenderLlama2(absl::Span<const ChatMessage> messages, PromptBuilder& prompt) const;
  void RenderLlama3(absl::Span<const ChatMessage> messages, bool opens_answer, PromptBuilder& prompt) const;
  void RenderZephyr(absl::Span<const ChatMessage> messages, bool opens_answer, PromptBuilder& prompt) const;

  ChatFormat format_;
  const Tokenizer* tokenizer_ = nullptr;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_
