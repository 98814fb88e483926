// Tested by agreement_test.cc.
#include "eval/agreement.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace kedge {

std::vector<float> LogSoftmax(absl::Span<const float> logits) {
  const float greatest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - greatest);
  const float log_sum = static_cast<float>(std::log(sum));
  std::vector<float> logprobs(logits.begin(), logits.end());
  for (float& logprob : logprobs) logprob = (logprob - greatest) - log_sum;
  return logprobs;
}

uint32_t Likeliest(absl::Span<const float> logprobs) {
  return static_cast<uint32_t>(std::max_element(logprobs.begin(), logprobs.end()) - logprobs.begin());
}

double Divergence(absl::Span<const float> reference, absl::Span<const float> other) {
  KEDGE_CHECK(reference.size() == other.size());
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const float probability = std::exp(reference[i]);
    if (probability > 0) sum += double{probability} * (double{reference[i]} - double{other[i]});
  }
  return sum;
}

}  // namespace kedge
