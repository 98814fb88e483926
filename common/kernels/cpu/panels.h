// Weight matrices packed for vectors whose lanes are outputs.
#ifndef KEDGE_COMMON_KERNELS_CPU_PANELS_H_
#define KEDGE_COMMON_KERNELS_CPU_PANELS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cpu/kernels.h"
#include "common/kernels/lazy_memory.h"
#include "common/kernels/ops.h"

namespace kedge {

// Rows of activations whose largest value is not above this quantise to zeros: 127 / largest would overflow.
inline constexpr float kSmallestQuantized = 1e-30f;

inline bool IsQuantized(TensorType type) { return BlockSize(type) == 32; }

// Bytes of 8 outputs by one block of inputs (1 for the float types, 32 for the quantised ones).
inline size_t PanelBlockBytes(TensorType type) { return size_t{kPanelOutputs} * BlockBytes(type); }

// A panel is 8 outputs, by blocks of inputs in ascending order. A block of
//   F32, F16, BF16   holds one weight of each output;
//   Q8_0             8 half scales, then 8 groups of 32 bytes: group g holds weights 4g .. 4g + 3 of each output;
//   Q4_0             8 half scales, then 4 such groups of the file's nibble bytes 4g .. 4g + 3 of each output;
//   Q4_1             8 half scales, 8 half minima, then groups as in Q4_0.
// The last panel is filled up with zeros. Thread-compatible.
class CpuMatrix final : public WeightMatrix {
 public:
  // Packs `data` with all threads of `pool`. `data` must outlive the matrix: embeddings are read from it.
  CpuMatrix(TensorType type, int outputs, int inputs, absl::Span<const uint8_t> data, ThreadPool& pool);

  int outputs() const { return outputs_; }
  int inputs() const { return inputs_; }
  int panels() const { return (outputs_ + kPanelOutputs - 1) / kPanelOutputs; }
  PanelView view() const;
  // The weights of one output as they stand in the file.
  absl::Span<const uint8_t> FileRow(int output) const;
  TensorType type() const { return type_; }

 private:
  void PackPanel(int panel);

  const TensorType type_;
  const int outputs_;
  const int inputs_;
  const absl::Span<const uint8_t> data_;
  size_t row_bytes_ = 0;
  size_t panel_bytes_ = 0;
  LazyMemory memory_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_PANELS_H_
