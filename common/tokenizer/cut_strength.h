// How good a place each token of a prompt is to end a sequence behind it.
#ifndef KEDGE_COMMON_TOKENIZER_CUT_STRENGTH_H_
#define KEDGE_COMMON_TOKENIZER_CUT_STRENGTH_H_

#include <cstdint>
#include <vector>

#include "common/tokenizer/prompt_tokens.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// Ascending. Below kEnd: places where a sequence that is too long may be cut.
enum class CutStrength : uint8_t {
  kNever,    // within a character, and in what opens an answer
  kWord,     // within a word or a number
  kJoint,    // beside a sign that joins or opens: 10.27, config.yaml, "x
  kSign,     // between other signs, or letters of a script without spaces
  kSpace,    // between words, and behind a colon
  kBracket,  // behind a bracket or a quote, and in a wider gap
  kClause,   // behind a comma or what other scripts have for it, behind the line between cells, at a tab
  kStrong,   // behind a semicolon, and a comma behind a bracket
  kStop,     // behind a full stop that ends no sentence by rule
  kEnd,      // a sentence or a line ends here, a text before a special token, a turn, or what introduces a message
};

// For each id. The text alone decides, whatever its tokens are: what stands before a token, and at most a sentence's
// end, its white space and the character after it. So prompts that begin alike have the same strengths there but for
// the last few.
std::vector<CutStrength> FindCutStrengths(const Tokenizer& tokenizer, const PromptTokens& prompt);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CUT_STRENGTH_H_
