// Tested by computed_prompt_test.cc.
#include "eval/continuation.h"

#include <algorithm>

#include "common/tokenizer/sequence_ends.h"

namespace kedge {

void SetRows(const Continuation& continuation, const Policy& policy, Content* content) {
  content->policy = policy;
  content->turn_begin = std::min(continuation.turn_begin, std::max(content->prompt_length, 1u) - 1);
  content->user = RangesBefore(content->prompt_length, continuation.user);
  content->system = RangesBefore(content->prompt_length, continuation.system);
  (policy.text_anchors ? content->sequence_ends : content->no_anchor_positions) =
      policy.text_anchors ? FindSequenceEnds(continuation.cuts, policy.longest) : continuation.no_anchor_positions;
  content->question_marks = continuation.question_marks;
  for (std::vector<uint32_t>* positions :
       {&content->sequence_ends, &content->no_anchor_positions, &content->question_marks}) {
    std::erase_if(*positions, [&](uint32_t position) { return position >= content->ids.size(); });
  }
}

Content PromptContent(const Continuation& continuation, const Policy& policy) {
  Content content{.ids = continuation.prompt, .prompt_length = static_cast<uint32_t>(continuation.prompt.size())};
  SetRows(continuation, policy, &content);
  return content;
}

}  // namespace kedge
