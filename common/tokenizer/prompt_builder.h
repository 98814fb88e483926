// A prompt in the making: special tokens and text, with the parts that open an answer marked.
#ifndef KEDGE_COMMON_TOKENIZER_PROMPT_BUILDER_H_
#define KEDGE_COMMON_TOKENIZER_PROMPT_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/ranges.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// A prompt ready for a node. `no_anchor[i]` marks tokens with which the template opens an answer (in ChatML
// "<|im_start|>assistant" and its line feed, for the last and for every earlier answer): they never act as anchors,
// so that the row which predicts an answer's first token sees the prompt, and the next turn finds the same sequences.
struct PromptTokens {
  std::vector<uint32_t> ids;
  std::vector<bool> no_anchor;          // as long as ids
  std::vector<PositionRange> messages;  // of a chat: the tokens that overlap each message's content
};

// The tokens that overlap bytes [begin, end) of the text of `text_size` bytes that `tokens` are of.
PositionRange TokensOfBytes(absl::Span<const TextToken> tokens, size_t text_size, size_t begin, size_t end);

// Text between two special tokens is encoded as one piece, as it was in the model's training, however it was appended;
// nothing in it becomes a special token. Owned by one thread.
class PromptBuilder {
 public:
  enum class Part { kPlain, kOpener };

  // `tokenizer` must outlive this. `anchor`: a token to put between the sentences of contents.
  explicit PromptBuilder(const Tokenizer* tokenizer, std::optional<uint32_t> anchor = std::nullopt)
      : tokenizer_(tokenizer), anchor_(anchor) {}

  void Token(uint32_t id, Part part = Part::kPlain);
  void Text(absl::string_view text, Part part = Part::kPlain);
  // What message number `message` says: text, with the anchor between its sentences and without the white space around
  // it. PromptTokens::messages tells where it went.
  void Content(size_t message, absl::string_view text);
  // A mark that the template itself writes: the special token of this spelling where the vocabulary has one, else text.
  void Mark(absl::string_view spelling, Part part = Part::kPlain);

  // Ends the prompt. A token that is in part of an opener is marked. The first error of Tokenizer::Encode, if any.
  absl::StatusOr<PromptTokens> Finish();

 private:
  void EncodeText();

  const Tokenizer* tokenizer_;
  std::optional<uint32_t> anchor_;
  PromptTokens prompt_;
  absl::Status status_;
  std::string text_;                                // since the last special token
  std::vector<std::pair<size_t, size_t>> openers_;  // [begin, end) in text_
  struct ContentSpan {
    size_t message, begin, end;
  };
  std::vector<ContentSpan> contents_;  // in text_
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_PROMPT_BUILDER_H_
