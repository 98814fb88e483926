// Chats in the JSON that OpenAI's API made common: what files and other programs have.
#ifndef KEDGE_CLI_OPENAI_JSON_H_
#define KEDGE_CLI_OPENAI_JSON_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tokenizer/conversation.h"

namespace kedge {

// A list of messages: {"role": ..., "content": a string or null, ...} with the fields of ChatMessage, tool_calls as
// {"id": ..., "type": "function", "function": {"name": ..., "arguments": an object or its text}}. kInvalidArgument says
// what is wrong, for a message that begins with the flag's name: "[2].role: must be a string". A field that is not known
// is wrong: it would be left out without a word.
absl::StatusOr<std::vector<ChatMessage>> ParseMessages(absl::string_view json);

// A list of tools: {"type": "function", "function": {"name": ..., "description": ..., "parameters": a JSON schema}}, or
// bare functions. `strict` is left out, since nothing holds a model to a schema. kInvalidArgument as above.
absl::StatusOr<std::vector<Tool>> ParseTools(absl::string_view json);

}  // namespace kedge

#endif  // KEDGE_CLI_OPENAI_JSON_H_
