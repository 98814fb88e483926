// The kinds of texts that questions are asked about, and the forms of these questions.
#ifndef KEDGE_EVAL_FORMS_TEXT_KINDS_H_
#define KEDGE_EVAL_FORMS_TEXT_KINDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "eval/forms/question.h"

namespace kedge {

struct TextKind {
  const char* name;
  // In the order in which tables show them. `begun` is asked of plain texts alone.
  std::vector<std::string> forms;
  std::vector<Question> (*make)(const TextOptions& options);
  uint32_t of_a_form = 1;  // questions of each form that one text is asked
  bool is_alone = false;   // the question stands before the text, so that no two prompts share it
  bool is_chat = false;    // has several messages: there is no plain text of it
};

// Lives as long as the program.
absl::Span<const TextKind> TextKinds();

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_TEXT_KINDS_H_
