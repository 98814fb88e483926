// Tested by scoring_test.cc.
#include "eval/scoring.h"

#include <algorithm>
#include <cmath>

#include "eval/agreement.h"

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

void ScoreReply(absl::string_view reply, const ReplyCheck& check, Outcome* outcome) {
  const ReplyFound found = FoundInReply(reply, check);
  outcome->right = found.all;
  outcome->found = static_cast<uint32_t>(std::lround(found.share * kMillion));
}

}  // namespace kedge
