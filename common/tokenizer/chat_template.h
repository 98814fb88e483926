// Chat messages to prompt tokens.
#ifndef KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_
#define KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/template.h"
#include "common/jinja/value.h"
#include "common/model/gguf.h"
#include "common/tokenizer/chat_input.h"
#include "common/tokenizer/conversation.h"
#include "common/tokenizer/prompt_tokens.h"
#include "common/tokenizer/rendered_chat.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// A model's chat template, a program in Jinja, and the one that the model has for chats with tools, if that is another.
// It is rendered as transformers renders it. Thread-safe (immutable).
class ChatTemplate {
 public:
  // The templates of the metadata: `tokenizer.chat_template` and `tokenizer.chat_template.tool_use`. kNotFound: the
  // model has none (not a chat model). Else kInvalidArgument or kUnimplemented name key and line; kResourceExhausted: a
  // template is too long, or too slow already for a few short chats. Messages end with the ways to send a prompt
  // without a template. `tokenizer` must outlive the result.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Load(const GgufFile& file, const Tokenizer* tokenizer);
  // `source` in the place of them. `name` is what errors begin with.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Create(absl::string_view source, absl::string_view name,
                                                                    const GgufFile& file, const Tokenizer* tokenizer);

  // kInvalidArgument begins with the field's path in a request ("messages.messages[1].content: not valid UTF-8 at
  // byte 2"; also where the template leaves out a message, its calls or the tools), or with "chat template: " where the
  // template raises an error or fails ("chat template: line 12: ..."). kResourceExhausted begins so too, and names the
  // limit. limits.steps is for all the renderings of a chat together: two, and some to find out what was left out.
  absl::StatusOr<RenderedChat> Render(const Conversation& conversation, const jinja::Limits& limits = {}) const;
  // The tokens of what Render has returned (chat_encoder.h).
  absl::StatusOr<PromptTokens> Encode(const RenderedChat& chat, std::optional<uint32_t> anchor = std::nullopt) const;
  // Both.
  absl::StatusOr<PromptTokens> Apply(const Conversation& conversation,
                                     std::optional<uint32_t> anchor = std::nullopt) const;

  const std::string& source() const { return source_; }

 private:
  // One template and what was found out about it.
  struct Variant {
    jinja::Template program;
    ArgumentsForm form = ArgumentsForm::kObject;
    std::string constant_opener;  // with which it always opens an answer; empty where add_generation_prompt decides
  };

  explicit ChatTemplate(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}
  void ReadSpecialTokens(const GgufFile& file);
  absl::StatusOr<Variant> MakeVariant(absl::string_view source) const;
  // Takes its steps from `limits`, and so do those that call it.
  absl::StatusOr<RenderedChat> RenderOnce(const jinja::Template& program, const ChatInput& input, bool opens_answer,
                                          absl::Time now, jinja::Limits& limits) const;
  ArgumentsForm FindArgumentsForm(const jinja::Template& program, jinja::Limits& limits) const;
  std::string FindConstantOpenerOf(const jinja::Template& program, jinja::Limits& limits) const;
  absl::Status CheckAllWritten(const Variant& variant, const Conversation& conversation, const ChatInput& input,
                               const RenderedChat& chat, bool opens_answer, jinja::Limits& limits) const;

  const Tokenizer* const tokenizer_;
  std::string source_;
  std::vector<std::pair<std::string, jinja::Value>> special_tokens_;  // bos_token and others, by variable
  std::vector<std::string> special_names_;
  std::shared_ptr<const Variant> plain_;
  std::shared_ptr<const Variant> with_tools_;  // null: the same
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHAT_TEMPLATE_H_
