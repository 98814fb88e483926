// A conversation as the variables of a chat template.
#ifndef KEDGE_COMMON_TOKENIZER_CHAT_INPUT_H_
#define KEDGE_COMMON_TOKENIZER_CHAT_INPUT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/jinja/value.h"
#include "common/tokenizer/conversation.h"

namespace kedge {

// Where text of a rendering came from, beside the template's own (jinja::kTemplate): arguments and roles that are not
// among the usual ones, tools, or a message, whose content is told from its other fields.
inline constexpr jinja::Origin kClientOrigin = 1;
inline constexpr jinja::Origin kToolsOrigin = 2;
inline constexpr jinja::Origin ContentOrigin(size_t message) { return static_cast<jinja::Origin>(3 + 2 * message); }
inline constexpr jinja::Origin FieldsOrigin(size_t message) { return static_cast<jinja::Origin>(4 + 2 * message); }
inline constexpr std::optional<size_t> MessageOf(jinja::Origin origin) {
  return origin < 3 ? std::nullopt : std::optional<size_t>((origin - 3) / 2);
}
inline constexpr bool IsContent(jinja::Origin origin) { return origin >= 3 && origin % 2 == 1; }

// How templates write a call's arguments: most an object as JSON, some the text that they are given.
enum class ArgumentsForm { kObject, kText };

// The variables `messages` and `tools`, and those of template_arguments.
struct ChatInput {
  std::vector<jinja::Value> messages;
  jinja::Value tools;  // none if there are none, as transformers has it
  std::vector<std::pair<std::string, jinja::Value>> arguments;
};

// `message`, of MakeChatInput, as if it said `content` and called nothing.
jinja::Value WithoutCalls(const jinja::Value& message, absl::string_view content, size_t index);

// kInvalidArgument begins with the field's path in a request ("messages.messages[2].role: ..."). `reserved`: names of
// variables that template_arguments must not set, beside those of the conversation. All JSON of a conversation together
// may have 100,000 values.
absl::StatusOr<ChatInput> MakeChatInput(const Conversation& conversation, ArgumentsForm form,
                                        absl::Span<const std::string> reserved);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHAT_INPUT_H_
