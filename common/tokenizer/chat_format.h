// Which of the chat formats that Kedge renders a template describes.
#ifndef KEDGE_COMMON_TOKENIZER_CHAT_FORMAT_H_
#define KEDGE_COMMON_TOKENIZER_CHAT_FORMAT_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

enum class ChatFormatKind {
  kChatMl,  // SmolLM2, Qwen2 and many others
  kLlama2,
  kLlama3,
  kZephyr,  // also TinyLlama's
};

struct ChatFormat {
  ChatFormatKind kind;
  std::string name;                           // as messages and logs show it
  std::optional<std::string> default_system;  // content of the system message that the template adds by itself
  bool always_opens_answer = false;           // whether an answer is asked for or not
};

// The names of all formats, for messages.
inline constexpr absl::string_view kChatFormatNames = "ChatML, Llama 2, Llama 3 and Zephyr";

// `source`: a template in Jinja, which is not interpreted. kInvalidArgument if it is none of the formats, with the
// reason.
absl::StatusOr<ChatFormat> RecogniseChatFormat(absl::string_view source);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHAT_FORMAT_H_
