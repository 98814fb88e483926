// Where the user of a chat asks something, as far as a question mark tells.
#ifndef KEDGE_COMMON_TOKENIZER_QUESTION_MARKS_H_
#define KEDGE_COMMON_TOKENIZER_QUESTION_MARKS_H_

#include <cstdint>
#include <vector>

#include "common/tokenizer/prompt_tokens.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// Tokens of prompt.user with the question mark that ends a question, ascending: one behind which the text ends, or
// white space, a quote or a bracket stands, or another mark; where white space stands before it, as in French, a line ends or
// a capital follows. So those of addresses, of `a ? b : c` and of `(?, ?)` are none.
std::vector<uint32_t> FindQuestionMarks(const Tokenizer& tokenizer, const PromptTokens& prompt);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_QUESTION_MARKS_H_
