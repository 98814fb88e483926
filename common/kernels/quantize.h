// Floats to quantised weights.
#ifndef KEDGE_COMMON_KERNELS_QUANTIZE_H_
#define KEDGE_COMMON_KERNELS_QUANTIZE_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kedge {

// Writes `values` as Q8_0 blocks (tensor_type.h), as GGUF's own tools do: d is the largest magnitude / 127, a quant is
// the value / d rounded half away from zero, and only then d becomes a half. A block whose d is zero as a half becomes
// zeros. Returns false, with `out` undefined, if a value is not finite or its block's d is too large for a half.
// REQUIRES: values.size() is a multiple of 32; out.size() is that many values' bytes.
[[nodiscard]] bool QuantizeQ8(absl::Span<const float> values, absl::Span<uint8_t> out);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_QUANTIZE_H_
