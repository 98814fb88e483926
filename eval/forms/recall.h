// Facts planted in ordinary text, asked for exactly. The forms that settings are fitted on as well, with other words.
#ifndef KEDGE_EVAL_FORMS_RECALL_H_
#define KEDGE_EVAL_FORMS_RECALL_H_

#include <vector>

#include "eval/forms/question.h"
#include "eval/forms/random.h"
#include "eval/forms/recall_templates.h"

namespace kedge {

struct Fact {
  std::string text;  // the sentence or the line
  std::string question;
  std::string begun;  // the sentence up to the answer
  std::string answer;
};

// `count` facts of one kind, with different subjects and values.
std::vector<Fact> DrawFacts(const FactKind& kind, size_t count, Random* random);

// Five facts, each alone of its kind, in one text. `single` asks for one of them, `pair` for two in one question,
// `several` for four, where the templates have words for that; of plain texts there is `begun`: a sentence that says
// the fact again has begun, and there is no question.
std::vector<Question> MakeSeparateFacts(const RecallTemplates& templates, const TextOptions& options);
// Five facts of one kind (`alike`), a table of five rows (`table`) and five lines of code (`code`) in one text.
std::vector<Question> MakeCrowdedFacts(const RecallTemplates& templates, const TextOptions& options);
// One case each, whose question stands before the text, or behind a few words and before a long quotation.
std::vector<Question> MakeQuestionFirst(const RecallTemplates& templates, const TextOptions& options);
std::vector<Question> MakeQuestionMiddle(const RecallTemplates& templates, const TextOptions& options);

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_RECALL_H_
