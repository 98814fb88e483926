// From a text and what is asked of it to what the user says.
#ifndef KEDGE_EVAL_FORMS_FRAME_H_
#define KEDGE_EVAL_FORMS_FRAME_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "eval/forms/question.h"

namespace kedge {

struct Ask {
  std::string form;
  std::string question;
  std::vector<ByteRange> evidence;  // of the text
  ReplyCheck check;
  std::string expected;
};

// What a user says: `words` with the text in the place of `{t}` and the question in that of `{q}`.
struct Frame {
  std::string words;
  bool opens_answer = false;  // a plain text: `Answer:` stands behind it
};

// One message of a user by `frame`.
Question AskInFrame(const Frame& frame, absl::string_view text, const Ask& ask);

// Of each; the frame's question stands behind the text.
std::vector<Question> AskAll(absl::string_view words, absl::string_view text, const std::vector<Ask>& asks,
                             const TextOptions& options);

// Tokens left for the text of a prompt beside the frame, the question, what a template adds and `more`.
size_t TokensForText(const TextOptions& options, absl::string_view words, absl::string_view question, size_t more = 0);

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_FRAME_H_
