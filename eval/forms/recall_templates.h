// The words that recall questions are made of. The two families have no subject, value or sentence in common, so that
// what is fitted on one can be measured on the other.
#ifndef KEDGE_EVAL_FORMS_RECALL_TEMPLATES_H_
#define KEDGE_EVAL_FORMS_RECALL_TEMPLATES_H_

#include <string>
#include <vector>

namespace kedge {

// A kind of fact. `{s}` stands for the subject, `{v}`, behind it, for the value. Every list has at least eight members.
struct FactKind {
  std::string sentence;
  std::string question;
  std::vector<std::string> subjects;
  std::vector<std::string> values;  // empty: numbers of `digits` digits
  int digits = 4;
};

// Lines with one subject each, of one block: a table or a piece of code.
struct BlockKind {
  std::string head;  // before the lines, line feed included
  std::string line;  // `{o}`: a member of `others`
  std::string tail;  // after the lines
  std::string question;
  std::vector<std::string> subjects;
  std::vector<std::string> others;
  int digits = 4;
};

enum class RecallFamily {
  kCalibration,  // to fit settings on
  kEvaluation,   // to report
};

struct RecallTemplates {
  std::vector<FactKind> facts;  // at least eight
  std::vector<BlockKind> tables;
  std::vector<BlockKind> codes;
  // `{t}`: the text, `{q}`: the question.
  std::string question_last;
  std::string question_first;
  std::string question_middle;
  std::string begun;    // `{q}`: the beginning of the sentence
  std::string pair;     // `{a}`, `{b}`: the two questions
  std::string several;  // a list of questions follows; empty: none are asked so
};
const RecallTemplates& TemplatesOf(RecallFamily family);

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_RECALL_TEMPLATES_H_
