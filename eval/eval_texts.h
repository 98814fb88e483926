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
#include "eval/reply_check.h"

namespace kedge {

inline constexpr char kTextForm[] = "text";  // of what is continued, beside the forms of TextKinds (forms/text_kinds.h)

struct EvalCase {
  std::string form;
  uint32_t length = 0;  // nominal tokens of the prompt
  Continuation continuation;
  ReplyCheck check;      // what makes an answer right (FoundInReply); empty with a given text
  std::string expected;  // the reply of an ideal model, to be scored as a given text; empty with a given text
  std::vector<PositionRange> evidence;  // of the prompt: what is needed for the answer; ascending, disjoint
  uint32_t fork = 0;                    // where it goes on from the prefix; less than the prompt's length
};

// Cases whose prompts are equal up to their forks: their rows before are computed once for each policy.
struct EvalText {
  std::string name;             // no other text has it
  std::string kind;             // of the document, or a TextKind's name: texts of a kind are alike
  std::vector<EvalCase> cases;  // ascending by fork

  // The prompt with the latest fork, as far as the fork, under a policy.
  Content Prefix(const Policy& policy) const;
};

struct EvalTextOptions {
  std::vector<uint32_t> lengths;  // ascending
  // Of each form at each length up to 1,000 tokens; half as many more up to 500, two fifths of it up to 2,000, and a
  // fifth of longer ones (CasesOf): so every length costs about as much. A form whose prompts share nothing has half as
  // many, and none beyond 1,000 tokens.
  uint32_t cases = 10;
  uint32_t context_length = 0;  // of the model: what does not fit is left out
};

// How many questions of one form are asked of prompts of `length` tokens.
uint32_t CasesOf(uint32_t cases, uint32_t length, bool is_alone);

// Each document is continued once, behind a context of one of the two longest lengths that it has tokens for, in turn;
// one without a kind, which is somebody's own, behind each of them. About each kind of text (forms/text_kinds.h)
// several are made, with other filler, names and values. `chat` may be null: then questions are
// plain text. kInvalidArgument: a document that is not UTF-8, no document with a sentence to fill prompts with, or no
// prompt fits.
absl::StatusOr<std::vector<EvalText>> MakeEvalTexts(const EvalTextOptions& options,
                                                    absl::Span<const HeldOutDocument> documents,
                                                    const Tokenizer& tokenizer, const ChatTemplate* chat);

// XXH3-64, in hex, of all that a case is: ids, where sequences end, what is right and what it needs. Other texts,
// templates or tokenizers give another one.
std::string HashOfTexts(absl::Span<const EvalText> texts);

}  // namespace kedge

#endif  // KEDGE_EVAL_EVAL_TEXTS_H_
