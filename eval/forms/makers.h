// The kinds of texts that are asked about, beside recall.h: each in the file that its comment names. text_kinds.h has
// the table of all of them.
#ifndef KEDGE_EVAL_FORMS_MAKERS_H_
#define KEDGE_EVAL_FORMS_MAKERS_H_

#include <vector>

#include "eval/forms/question.h"

namespace kedge {

// After RULER ("What's the Real Context Size of Your Long-Context Language Models?", Hsieh et al., COLM 2024), with
// own words. needles.cc:
std::vector<Question> MakeNeedles(const TextOptions& options);
std::vector<Question> MakeAllNeedles(const TextOptions& options);
// variables.cc, counting.cc, documents.cc:
std::vector<Question> MakeVariables(const TextOptions& options);
std::vector<Question> MakeCounting(const TextOptions& options);
std::vector<Question> MakeDocuments(const TextOptions& options);

// source.cc, json.cc, grid.cc, log.cc: text that programs read.
std::vector<Question> MakeSource(const TextOptions& options);
std::vector<Question> MakePrettyJson(const TextOptions& options);
std::vector<Question> MakeMinifiedJson(const TextOptions& options);
std::vector<Question> MakeMarkdownTable(const TextOptions& options);
std::vector<Question> MakeCsv(const TextOptions& options);
std::vector<Question> MakeLog(const TextOptions& options);

// chinese.cc, copies.cc, few_shot.cc:
std::vector<Question> MakeChinese(const TextOptions& options);
std::vector<Question> MakeCopies(const TextOptions& options);
std::vector<Question> MakeFewShot(const TextOptions& options);

// Chats of several messages, which have no plain text. tool_result.cc, follow_up.cc, obedience.cc:
std::vector<Question> MakeToolResult(const TextOptions& options);
std::vector<Question> MakeFollowUp(const TextOptions& options);
std::vector<Question> MakeLastWord(const TextOptions& options);
std::vector<Question> MakeJsonAlone(const TextOptions& options);
std::vector<Question> MakeNeverSay(const TextOptions& options);

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_MAKERS_H_
