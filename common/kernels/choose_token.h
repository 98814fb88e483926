// From a row of logits to its token: the part of sampling that needs nothing but the logits.
#ifndef KEDGE_COMMON_KERNELS_CHOOSE_TOKEN_H_
#define KEDGE_COMMON_KERNELS_CHOOSE_TOKEN_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/kernels/step.h"

namespace kedge {

// Temperature, top-k, top-p, min-p, in this order; ties go to the lower id. The random number is a function of (seed,
// completion, position). Pure: the same arguments give the same token on every machine, and any thread may call it.
// What is infinite or no number counts as the largest float. REQUIRES: logits is not empty.
uint32_t ChooseToken(absl::Span<const float> logits, const TokenChoice& choice);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CHOOSE_TOKEN_H_
