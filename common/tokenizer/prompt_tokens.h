// A prompt as tokens, with what is known of them.
#ifndef KEDGE_COMMON_TOKENIZER_PROMPT_TOKENS_H_
#define KEDGE_COMMON_TOKENIZER_PROMPT_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/ranges.h"
#include "common/tokenizer/encoder.h"

namespace kedge {

// A prompt ready for a node. `no_anchor[i]` marks tokens with which the template opens an answer (in ChatML
// "<|im_start|>assistant" and its line feed, for the last and for every earlier answer): they never act as anchors,
// so that the row which predicts an answer's first token sees the prompt, and the next turn finds the same sequences.
struct PromptTokens {
  std::vector<uint32_t> ids;
  std::vector<bool> no_anchor;  // as long as ids
  // Of a chat, for each message: the tokens that overlap what the template wrote of it, in one piece or several, or
  // nothing at all. Ascending.
  std::vector<std::vector<PositionRange>> messages;
  // Of a chat: where the template wrote its tools, with what it says of them, up to the special tokens on both sides and
  // without messages that stand there too. Without these the model cannot call any. Ascending.
  std::vector<PositionRange> tools;
  // Of a chat: where the last message of its user begins of which there are tokens, or, without one, the last of all
  // that are not to be continued.
  uint32_t turn_begin = 0;
  // Of a chat, parts of `messages`, ascending and apart: what its user says, and what it is told by `system` or
  // `developer`.
  std::vector<PositionRange> user;
  std::vector<PositionRange> system;
};

// The tokens that overlap bytes [begin, end) of the text of `text_size` bytes that `tokens` are of.
PositionRange TokensOfBytes(absl::Span<const TextToken> tokens, size_t text_size, size_t begin, size_t end);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_PROMPT_TOKENS_H_
