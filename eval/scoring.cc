// Tested by scoring_test.cc.
#include "eval/scoring.h"

#include <algorithm>
#include <cmath>

#include "eval/agreement.h"
#include "eval/recall_cases.h"

namespace kedge {
namespace {

constexpr double kMostNats = 1e6;  // a probability of zero has a loss without end

int64_t Millionths(double nats) { return std::llround(std::min(nats, kMostNats) * kMillion); }

}  // namespace

void ScoreGiven(uint32_t id, absl::Span<const float> full_logprobs, absl::Span<const float> logprobs,
                Outcome* outcome) {
  outcome->loss += Millionths(-logprobs[id]);
  ++outcome->tokens;
  outcome->agreeing += Likeliest(full_logprobs) == Likeliest(logprobs);
  outcome->divergence += Millionths(Divergence(full_logprobs, logprobs));
}

void ScoreReply(const std::string& reply, absl::Span<const std::string> answers, Outcome* outcome) {
  const auto found = std::count_if(answers.begin(), answers.end(),
                                   [&](const std::string& answer) { return ContainsAnswer(reply, answer); });
  outcome->right = found == static_cast<std::ptrdiff_t>(answers.size());
  outcome->found = answers.empty() ? kMillion : static_cast<uint32_t>(found * kMillion / answers.size());
}

}  // namespace kedge
