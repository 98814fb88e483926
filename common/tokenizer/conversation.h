// A chat as a client gives it.
#ifndef KEDGE_COMMON_TOKENIZER_CONVERSATION_H_
#define KEDGE_COMMON_TOKENIZER_CONVERSATION_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace kedge {

// As the messages of the same names in kedge/inference/v1/inference.proto say.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // the text of a JSON object; empty: {}
};

struct ChatMessage {
  std::string role;
  std::optional<std::string> content;
  std::vector<ToolCall> tool_calls;
  std::optional<std::string> tool_call_id;
  std::optional<std::string> name;
  std::optional<std::string> reasoning_content;
};

struct Tool {
  std::string name;
  std::optional<std::string> description;
  std::optional<std::string> parameters;  // the text of a JSON object
};

struct Conversation {
  std::vector<ChatMessage> messages;
  std::vector<Tool> tools;
  std::string template_arguments;  // the text of a JSON object; empty: none
  bool add_generation_prompt = true;
  bool continue_final_message = false;
  absl::Time now = absl::UnixEpoch();  // what a template that writes the date sees
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CONVERSATION_H_
