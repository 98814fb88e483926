// From text and chats to prompts, as a server would make them.
#ifndef KEDGE_EVAL_PROMPT_TEXT_H_
#define KEDGE_EVAL_PROMPT_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/ranges.h"
#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/tokenizer.h"
#include "eval/continuation.h"
#include "eval/forms/question.h"
#include "eval/held_out.h"

namespace kedge {

// Tokens of a text; 0 where it can not be encoded (which is told when it is).
size_t CountTokens(const Tokenizer& tokenizer, absl::string_view text);

// The sentences of documents that are ordinary text, in order.
std::vector<std::string> FillerOf(absl::Span<const HeldOutDocument> documents);

// A message as the model's user would send it, or without a template a plain text: the prompt and what is known of its
// rows.
absl::StatusOr<Continuation> EncodeMessage(const std::string& message, const Tokenizer& tokenizer,
                                           const ChatTemplate* chat);

struct EncodedQuestion {
  Continuation continuation;
  std::vector<PositionRange> evidence;  // of the prompt, ascending and disjoint
};

// A question as its chat, or without a template its one message as a plain text. Where the template writes no tools, a
// call is what the assistant says, and the result a message of role `tool`, or `user` where there is no such role.
absl::StatusOr<EncodedQuestion> EncodeQuestion(const Question& question, const Tokenizer& tokenizer,
                                               const ChatTemplate* chat);

}  // namespace kedge

#endif  // KEDGE_EVAL_PROMPT_TEXT_H_
