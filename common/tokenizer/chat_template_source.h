// The source of a chat template, before anything is known of a model.
#ifndef KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_SOURCE_H_
#define KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_SOURCE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/template.h"

namespace kedge {

// kInvalidArgument or kUnimplemented: it is no UTF-8, or "line 12: ..." says what is wrong or not supported.
// kResourceExhausted: it is too long, or nested too deep.
absl::StatusOr<jinja::Template> ParseChatTemplate(absl::string_view source);

// The text of the file that the flag --chat-template names, which is a chat template. kInvalidArgument begins with the
// flag: it cannot be read, is empty, or ParseChatTemplate refuses it.
absl::StatusOr<std::string> ReadChatTemplateFile(const std::string& path);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_SOURCE_H_
