// What the CUDA backend's buffers are.
#ifndef KEDGE_COMMON_KERNELS_CUDA_DEVICE_DATA_H_
#define KEDGE_COMMON_KERNELS_CUDA_DEVICE_DATA_H_

#include <cstdint>
#include <memory>

#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/runtime.h"
#include "common/kernels/ops.h"
#include "common/kernels/row_shape.h"

namespace kedge::cuda {

// Addresses are null where the memory could not be had: Ops::status says so.
struct CudaActivations final : Activations {
  std::unique_ptr<Memory> floats, quantized;
  OperandRows view;
  bool has_quantized = false;  // view.quantized holds the same rows as the floats
};

struct CudaMatrix final : WeightMatrix {
  std::unique_ptr<Memory> memory;
  Matrix view;
};

struct CudaVector final : WeightVector {
  std::unique_ptr<Memory> memory;
  const float* data = nullptr;
  int size = 0;
};

struct CudaPages final : PageMemory {
  std::unique_ptr<Memory> memory;
  RowShape shape;
  Pages view;
  PageId spare = 0;  // behind the last page: of rows that are nobody's
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_DEVICE_DATA_H_
