// Tested by forms_test.cc.
#include "eval/forms/text_kinds.h"

#include "eval/forms/makers.h"
#include "eval/forms/recall.h"

namespace kedge {
namespace {

const RecallTemplates& Evaluation() { return TemplatesOf(RecallFamily::kEvaluation); }

std::vector<TextKind> MakeKinds() {
  return {{.name = "separate",
           .forms = {"single", "pair", "several", "begun"},
           .make = [](const TextOptions& options) { return MakeSeparateFacts(Evaluation(), options); },
           .of_a_form = 2},
          {.name = "crowded",
           .forms = {"alike", "table", "code"},
           .make = [](const TextOptions& options) { return MakeCrowdedFacts(Evaluation(), options); },
           .of_a_form = 2},
          {.name = "question-first",
           .forms = {"question-first"},
           .make = [](const TextOptions& options) { return MakeQuestionFirst(Evaluation(), options); },
           .is_alone = true},
          {.name = "question-middle",
           .forms = {"question-middle"},
           .make = [](const TextOptions& options) { return MakeQuestionMiddle(Evaluation(), options); },
           .is_alone = true},
          {.name = "needles",
           .forms = {"needle-word", "needle-number", "needle-uuid", "multi-value", "multi-query"},
           .make = MakeNeedles,
           .of_a_form = 2},
          {.name = "all-needles", .forms = {"all-needles"}, .make = MakeAllNeedles, .of_a_form = 4},
          {.name = "variables", .forms = {"variables"}, .make = MakeVariables, .of_a_form = 4},
          {.name = "counting", .forms = {"common-words", "frequent-words"}, .make = MakeCounting, .of_a_form = 2},
          {.name = "documents", .forms = {"documents", "two-hop"}, .make = MakeDocuments, .of_a_form = 3},
          {.name = "source", .forms = {"code-constant", "code-argument"}, .make = MakeSource, .of_a_form = 4},
          {.name = "json", .forms = {"json"}, .make = MakePrettyJson, .of_a_form = 4},
          {.name = "json-minified", .forms = {"json-minified"}, .make = MakeMinifiedJson, .of_a_form = 4},
          {.name = "markdown", .forms = {"cells"}, .make = MakeMarkdownTable, .of_a_form = 4},
          {.name = "csv", .forms = {"csv"}, .make = MakeCsv, .of_a_form = 4},
          {.name = "log", .forms = {"log"}, .make = MakeLog, .of_a_form = 4},
          {.name = "chinese", .forms = {"chinese"}, .make = MakeChinese, .of_a_form = 4},
          {.name = "copies", .forms = {"newest", "both-copies", "repeated"}, .make = MakeCopies, .of_a_form = 2},
          {.name = "few-shot", .forms = {"few-shot"}, .make = MakeFewShot, .of_a_form = 4},
          {.name = "tool-result", .forms = {"tool-result"}, .make = MakeToolResult, .is_alone = true, .is_chat = true},
          {.name = "follow-up", .forms = {"follow-up"}, .make = MakeFollowUp, .of_a_form = 4, .is_chat = true},
          {.name = "system-word", .forms = {"system-word"}, .make = MakeLastWord, .of_a_form = 4, .is_chat = true},
          {.name = "system-json", .forms = {"system-json"}, .make = MakeJsonAlone, .of_a_form = 4, .is_chat = true},
          {.name = "system-never", .forms = {"system-never"}, .make = MakeNeverSay, .of_a_form = 4, .is_chat = true}};
}

}  // namespace

absl::Span<const TextKind> TextKinds() {
  static const auto* const kKinds = new std::vector<TextKind>(MakeKinds());
  return *kKinds;
}

}  // namespace kedge
