// How near one distribution over the next token is to another.
#ifndef KEDGE_EVAL_AGREEMENT_H_
#define KEDGE_EVAL_AGREEMENT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace kedge {

// Natural logs of softmax(logits): [vocab].
std::vector<float> LogSoftmax(absl::Span<const float> logits);

// The first id with the greatest value. REQUIRES: not empty.
uint32_t Likeliest(absl::Span<const float> logprobs);

// Kullback-Leibler divergence of `other` from `reference`, in nats: sum of p (log p - log q). Both are logs of
// probabilities, [vocab].
double Divergence(absl::Span<const float> reference, absl::Span<const float> other);

}  // namespace kedge

#endif  // KEDGE_EVAL_AGREEMENT_H_
