// From tensors of a file to what a device has of them (weight_layout.h), on the host.
#ifndef KEDGE_COMMON_KERNELS_CUDA_WEIGHTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/weight_layout.h"
#include "common/kernels/tensor_type.h"

namespace kedge::cuda {

// REQUIRES: IsSupported(type).
WeightForm FormOf(TensorType type);

constexpr size_t PackedBytes(WeightForm form, int outputs, int inputs) {
  return Groups(form, outputs) * GroupBytes(form, inputs);
}

// Writes groups [first, first + count) of a matrix, GroupBytes each, to `out`. A group knows nothing of the others: a
// matrix can be packed in pieces and by several threads. `data`: all of the matrix, as in a file; need not be aligned.
// REQUIRES: inputs is a multiple of BlockSize(type).
void PackGroups(TensorType type, int outputs, int inputs, absl::Span<const uint8_t> data, int first, int count,
                uint8_t* out);

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_WEIGHTS_H_
