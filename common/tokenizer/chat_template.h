// Chat messages to prompt tokens.
#ifndef KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_
#define KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/gguf.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

struct ChatMessage {
  std::string role;  // system, user, assistant or tool
  std::string content;
};

// A prompt ready for a node. `no_anchor[i]` marks tokens with which the template opens an answer (in ChatML
// "<|im_start|>assistant" and its line feed, for the last and for every earlier answer): they never act as anchors,
// so that the row which predicts an answer's first token sees the prompt, and the next turn finds the same sequences.
struct PromptTokens {
  std::vector<uint32_t> ids;
  std::vector<bool> no_anchor;  // as long as ids
};

// A template recognised from the GGUF's `tokenizer.chat_template`; Kedge does not interpret Jinja. Now: ChatML.
// Thread-safe (immutable).
class ChatTemplate {
 public:
  // kNotFound: the model has no template (not a chat model). kUnimplemented: an unknown template; the message says
  // that a prompt can be sent as plain text (`--raw`, or the field `text`) or as token ids.
  // `tokenizer` must outlive the result.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Recognise(const GgufFile& file,
                                                                       const Tokenizer* tokenizer);

  // kInvalidArgument names the field: no messages, an unknown role, content that is not UTF-8.
  // A default system message that the model's template has is put in front, as the template itself would.
  // `anchor`: a token to put between the sentences of each message's content (anchored_text.h).
  absl::StatusOr<PromptTokens> Apply(absl::Span<const ChatMessage> messages, bool add_generation_prompt,
                                     std::optional<uint32_t> anchor = std::nullopt) const;

  // "chatml".
  const std::string& name() const { return name_; }

 private:
  ChatTemplate() = default;
  std::string name_;
  const Tokenizer* tokenizer_ = nullptr;
  uint32_t start_ = 0;  // the special tokens <|im_start|> and <|im_end|>
  uint32_t end_ = 0;
  std::optional<std::string> default_system_;  // content of the system message that the template adds by itself
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_
