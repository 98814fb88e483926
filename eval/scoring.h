// From what a policy and full attention made of one case to its outcome.
#ifndef KEDGE_EVAL_SCORING_H_
#define KEDGE_EVAL_SCORING_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "eval/measure.h"
#include "eval/reply_check.h"

namespace kedge {

// What full attention made of one case.
struct Reference {
  std::vector<uint32_t> answer;
  std::vector<std::vector<float>> logprobs;  // [tokens of the given text][vocab]
};

// Adds what a policy says of an id of a given text, beside full attention: [vocab] each.
void ScoreGiven(uint32_t id, absl::Span<const float> full_logprobs, absl::Span<const float> logprobs, Outcome* outcome);

// Judges a reply (FoundInReply).
void ScoreReply(absl::string_view reply, const ReplyCheck& check, Outcome* outcome);

}  // namespace kedge

#endif  // KEDGE_EVAL_SCORING_H_
