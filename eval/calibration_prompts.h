// Recall questions as prompts whose sequences are known: which ask, which answer, which could be mistaken for these.
#ifndef KEDGE_EVAL_CALIBRATION_PROMPTS_H_
#define KEDGE_EVAL_CALIBRATION_PROMPTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/policy.h"
#include "common/anchor/ranges.h"
#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/tokenizer.h"
#include "eval/head_ranking.h"

namespace kedge {

struct CalibrationPrompt {
  std::string form;
  std::vector<uint32_t> ids;             // n
  std::vector<PositionRange> sequences;  // of rows 0..n-2
  KnownSequences known;

  // The rows whose attention shows where the heads look, ascending: those of the question's sequences among the last
  // 128 before row n-1, and the Salience::kPointerRows before row n-1.
  std::vector<uint32_t> QuestionRows() const;
  std::vector<uint32_t> EndRows() const;
};

// Prompts of one text, equal up to `fork`, before any of the rows above.
struct CalibrationText {
  std::vector<CalibrationPrompt> prompts;
  uint32_t fork = 0;
};

struct CalibrationOptions {
  Policy policy;                // one that chooses sequences: cuts the prompts
  uint32_t rounds = 2;          // each makes two texts, of each kind, of about five questions for each of their forms
  uint32_t tokens = 550;        // of a prompt, about
  uint32_t context_length = 0;  // of the model: what does not fit is left out
};

// Of the calibration family, with `filler` (forms/question.h): chats, and plain texts, whose forms are named `plain-`.
// The same heads serve both. `chat` may be null: then there are plain texts alone. kInvalidArgument: nothing fits the
// context; kInternal: the tokenizer does not spell out what it has encoded.
absl::StatusOr<std::vector<CalibrationText>> MakeCalibrationTexts(const CalibrationOptions& options,
                                                                  absl::Span<const std::string> filler,
                                                                  const Tokenizer& tokenizer, const ChatTemplate* chat);

}  // namespace kedge

#endif  // KEDGE_EVAL_CALIBRATION_PROMPTS_H_
