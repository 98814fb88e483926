// Products of one form that one launch computes: their groups of outputs, or what a kernel makes of these, are counted
// through.
#ifndef KEDGE_COMMON_KERNELS_CUDA_SEGMENTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_SEGMENTS_H_

#include <climits>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/weight_layout.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

struct Segment {
  const uint8_t* weights = nullptr;
  const float* bias = nullptr;  // may be null
  float* out = nullptr;
  int stride = 0;
  int outputs = 0;
  int first = 0;  // of what is counted

  // A sum is complete.
  __device__ void Write(int row, int output, float sum) const {
    if (output >= outputs) return;
    if (bias != nullptr) sum = __fadd_rn(sum, bias[output]);
    out[size_t(row) * stride + output] = sum;
  }
};

inline constexpr int kMostSegments = 4;

// Goes by value. The last ones are empty where there are fewer.
struct Segments {
  Segment each[kMostSegments];
  int total = 0;

  // Whose is the one with this number. (Without an index that only the device knows, for which nvcc would copy a
  // kernel's argument to local memory.)
  __device__ Segment Find(int number) const {
    Segment found = each[0];
#pragma unroll
    for (int i = 1; i < kMostSegments; ++i) {
      if (number >= each[i].first) found = each[i];
    }
    return found;
  }
};

// Of up to kMostSegments products of one form, counted in `outputs` outputs at a time.
inline Segments MakeSegments(absl::Span<const Product> products, int outputs) {
  Segments segments;
  for (size_t i = 0; i < kMostSegments; ++i) {
    segments.each[i].first = INT_MAX;
    if (i >= products.size()) continue;
    const Product& product = products[i];
    segments.each[i] = {product.matrix->data, product.bias,           product.out.data, product.out.stride,
                        product.matrix->outputs, segments.total};
    segments.total += (product.matrix->outputs + outputs - 1) / outputs;
  }
  return segments;
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_SEGMENTS_H_
