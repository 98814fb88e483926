// Products with float weights: the part of Multiply (launchers.h) that float_products.cu.cc has.
#ifndef KEDGE_COMMON_KERNELS_CUDA_FLOAT_PRODUCTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_FLOAT_PRODUCTS_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/target.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// REQUIRES: 1 to kMostSegments products of one float form, at least one row.
absl::Status MultiplyFloats(Stream& stream, const DeviceProperties& device, int rows, const FloatRows& x,
                            absl::Span<const Product> products);

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_FLOAT_PRODUCTS_H_
