// What a chat template has written, as tokens.
#ifndef KEDGE_COMMON_TOKENIZER_CHAT_ENCODER_H_
#define KEDGE_COMMON_TOKENIZER_CHAT_ENCODER_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "common/tokenizer/prompt_tokens.h"
#include "common/tokenizer/rendered_chat.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// Special tokens come from the template's own text alone: what a message, a tool or an argument spells stays text, also
// where the template writes something before and behind it that would make it one. Text between two special tokens is
// encoded as one piece, as it was in the model's training, whoever wrote it. The token that begins every prompt
// (bos_to_add) goes before it all, unless the template has written it.
// `anchor`: a token to put between the sentences of contents (anchored_text.h).
// The first error of Tokenizer::Encode, if any.
absl::StatusOr<PromptTokens> EncodeChat(const Tokenizer& tokenizer, const RenderedChat& chat,
                                        std::optional<uint32_t> anchor = std::nullopt);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHAT_ENCODER_H_
