// What a row with an output asks of the device (OutputWish).
#ifndef KEDGE_COMMON_KERNELS_CUDA_OUTPUT_WISH_H_
#define KEDGE_COMMON_KERNELS_CUDA_OUTPUT_WISH_H_

#include "common/kernels/cuda/arrays.h"
#include "common/kernels/step.h"

namespace kedge::cuda {

OutputWish MakeWish(const TokenChoice& choice);
OutputWish WishForLogits();

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_OUTPUT_WISH_H_
