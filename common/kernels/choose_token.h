// From a row of logits to its token: the part of sampling that needs nothing but the logits.
#ifndef KEDGE_COMMON_KERNELS_CHOOSE_TOKEN_H_
#define KEDGE_COMMON_KERNELS_CHOOSE_TOKEN_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "common/kernels/step.h"

namespace kedge {

// Temperature, top-k, top-p, min-p, in this order; ties go to the lower id. The random number is a function of (seed,
// completion, position). Pure: the same arguments give the same token on every machine, and any thread may call it.
// Plus infinity and what is no number count as the largest float; minus infinity is chosen only where there is nothing
// else. REQUIRES: logits is not empty.
uint32_t ChooseToken(absl::Span<const float> logits, const TokenChoice& choice);

// That random number, in [0, 1): for who draws elsewhere.
double UniformOf(const TokenChoice& choice);

// --- The draw, for a number in [0, 1). REQUIRES: choice.temperature > 0 ---

// The definition: orders what is left of the vocabulary.
uint32_t DrawInOrder(absl::Span<const float> logits, const TokenChoice& choice, double uniform);
// The same token without that order, many times faster; nullopt where the draw, or the end of top-p, lies so near to a
// boundary that rounding might decide.
std::optional<uint32_t> DrawWithoutOrder(absl::Span<const float> logits, const TokenChoice& choice, double uniform);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CHOOSE_TOKEN_H_
