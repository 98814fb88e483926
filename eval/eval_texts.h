// Everything that is measured, as token ids: held-out texts to continue, and questions to answer.
#ifndef KEDGE_EVAL_EVAL_TEXTS_H_
#define KEDGE_EVAL_EVAL_TEXTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/ranges.h"
#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/tokenizer.h"
#include "eval/continuation.h"
#include "eval/held_out.h"
#include "eval/recall_cases.h"

namespace kedge {

inline constexpr char kTextForm[] = "text";  // beside the names of RecallForms

struct EvalCase {
  std::string form;
  uint32_t length = 0;  // nominal tokens of the prompt
  Continuation continuation;
  std::vector<std::string> answers;
  std::string expected;                 // the reply of an ideal model, scored as a given text; empty with a given text
  std::vector<PositionRange> evidence;  // of the prompt: the sentences that hold what is needed, ascending
  uint32_t fork = 0;                    // where it goes on from the prefix; less than the prompt's length
};

// Cases whose prompts are equal up to their forks: their rows before are computed once for each policy.
struct EvalText {
  std::string name;
  std::string kind;             // of the document
  std::vector<EvalCase> cases;  // ascending by fork

  // The prompt with the latest fork, as far as the fork, under a policy.
  Content Prefix(const Policy& policy) const;
};

struct EvalTextOptions {
  std::vector<uint32_t> lengths;
  uint32_t cases = 10;  // of each recall form and length; the question-first form, whose prompts share nothing, has
                        // more of short prompts and fewer of long ones
  uint32_t context_length = 0;  // of the model: what does not fit is left out
};

// `chat` may be null: then questions are plain text. kInvalidArgument: a document that is not UTF-8 or has no sentence
// to fill prompts with.
absl::StatusOr<std::vector<EvalText>> MakeEvalTexts(const EvalTextOptions& options,
                                                    absl::Span<const HeldOutDocument> documents,
                                                    const Tokenizer& tokenizer, const ChatTemplate* chat);

// XXH3-64 of all ids and answers, in hex: other texts, templates or tokenizers give another one.
std::string HashOfTexts(absl::Span<const EvalText> texts);

// Tokens of a text; 0 where it can not be encoded (which is told when it is).
size_t CountTokens(const Tokenizer& tokenizer, absl::string_view text);

// The documents' sentences, in order.
std::vector<std::string> FillerOf(absl::Span<const HeldOutDocument> documents);

// A message as the model's user would send it, or without a template a plain text: the prompt and what is known of its
// rows.
absl::StatusOr<Continuation> EncodeMessage(const std::string& message, const Tokenizer& tokenizer,
                                           const ChatTemplate* chat);

}  // namespace kedge

#endif  // KEDGE_EVAL_EVAL_TEXTS_H_
