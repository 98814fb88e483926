// From what a policy and full attention made of one case to its outcome.
#ifndef KEDGE_EVAL_SCORING_H_
#define KEDGE_EVAL_SCORING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "eval/measure.h"

namespace kedge {

// What full attention made of one case.
struct Reference {
  std::vector<uint32_t> answer;
  std::vector<std::vector<float>> logprobs;  // [tokens of the given text][vocab]
};

// Adds what a policy says of an id of a given text, beside full attention: [vocab] each.
void ScoreGiven(uint32_t id, absl::Span<const float> full_logprobs, absl::Span<const float> logprobs, Outcome* outcome);

// How many of `answers` a reply contains (ContainsAnswer), of a case that asks for them: right if all.
void ScoreReply(const std::string& reply, absl::Span<const std::string> answers, Outcome* outcome);

}  // namespace kedge

#endif  // KEDGE_EVAL_SCORING_H_
