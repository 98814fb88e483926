// Weights to float.
#ifndef KEDGE_COMMON_KERNELS_DEQUANTIZE_H_
#define KEDGE_COMMON_KERNELS_DEQUANTIZE_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "common/kernels/tensor_type.h"

namespace kedge {

// Bytes of `count` values. REQUIRES: IsSupported(type); count is a multiple of BlockSize(type).
size_t TensorBytes(TensorType type, size_t count);

// Writes out.size() values of `type`. REQUIRES: data.size() >= TensorBytes(type, out.size()).
void DequantizeWeights(TensorType type, absl::Span<const uint8_t> data, absl::Span<float> out);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_DEQUANTIZE_H_
