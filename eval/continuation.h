// A prompt whose beginning may be known, and what is to follow it.
#ifndef KEDGE_EVAL_CONTINUATION_H_
#define KEDGE_EVAL_CONTINUATION_H_

#include <cstdint>
#include <vector>

#include "common/anchor/content.h"
#include "common/anchor/policy.h"
#include "common/tokenizer/cut_strength.h"

namespace kedge {

struct Continuation {
  std::vector<uint32_t> prompt;               // n ids
  std::vector<uint32_t> no_anchor_positions;  // of the prompt
  std::vector<CutStrength> cuts;              // of the prompt: where `anchors=text` ends its sequences
  uint32_t turn_begin = 0;                    // Content::turn_begin, user, system and question_marks
  std::vector<PositionRange> user;
  std::vector<PositionRange> system;
  std::vector<uint32_t> question_marks;
  std::vector<uint32_t> given;                // the text that follows it; empty: a greedy answer
  uint32_t max_new = 0;                       // of a greedy answer, its end included; 0 with a given text
};

// Sets what the policy and the continuation say of the prompt's rows: all fields but ids and prompt_length.
void SetRows(const Continuation& continuation, const Policy& policy, Content* content);

// The prompt alone.
Content PromptContent(const Continuation& continuation, const Policy& policy);

}  // namespace kedge

#endif  // KEDGE_EVAL_CONTINUATION_H_
