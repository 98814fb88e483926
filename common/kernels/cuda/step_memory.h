// The device's memory of the step at hand. Recorded graphs have its addresses, so a part that must grow makes them
// worthless.
#ifndef KEDGE_COMMON_KERNELS_CUDA_STEP_MEMORY_H_
#define KEDGE_COMMON_KERNELS_CUDA_STEP_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/runtime.h"
#include "common/kernels/cuda/step_arrays.h"

namespace kedge::cuda {

// What a model's steps have in common.
struct PassShape {
  int heads = 0;
  int pairs = 0;          // of a head that are turned
  int logit_columns = 0;
  int logit_rows = 0;     // at a time
};

// Owned by one thread.
class StepMemory {
 public:
  // Both must outlive this.
  StepMemory(Runtime* runtime, Stream* stream) : runtime_(runtime), stream_(stream) {}

  // Returns whether everything stayed where it was. What the step before chose stays as it is.
  absl::StatusOr<bool> Fit(const StepArrays& arrays, const PassShape& shape);

  // Null as long as nothing was fitted.
  uint8_t* upload() const { return AddressOf(upload_); }
  ChosenToken* chosen() const { return reinterpret_cast<ChosenToken*>(AddressOf(chosen_)); }
  uint8_t* results() const { return AddressOf(results_); }
  float* turns() const { return reinterpret_cast<float*>(AddressOf(turns_)); }
  uint8_t* choose_scratch() const { return AddressOf(choose_scratch_); }
  // Null as well where the step's rows go through their pages by tiles.
  float* scores() const { return splits_ ? reinterpret_cast<float*>(AddressOf(scores_)) : nullptr; }

 private:
  static uint8_t* AddressOf(const std::unique_ptr<Memory>& memory) { return memory ? memory->data() : nullptr; }
  // Grows `memory`, if it must, and says so in `moved`.
  absl::Status Fit(size_t bytes, bool keep, std::unique_ptr<Memory>& memory, bool& moved);

  Runtime* const runtime_;
  Stream* const stream_;
  std::unique_ptr<Memory> upload_, chosen_, results_, turns_, choose_scratch_, scores_;
  bool splits_ = false;
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_STEP_MEMORY_H_
