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

// In a block of 32 inputs of one output, what stands before the quants: half a scale, and for Q4_1 half a minimum.
inline size_t HalvesOf(TensorType type) { return type == TensorType::kQ4_1 ? 2 : 1; }

// Bytes of 16 outputs by one block of 32 inputs: of the halves, and of the quants.
inline size_t PanelHalvesBytes(TensorType type) { return 2 * kPanelOutputs * HalvesOf(type); }
inline size_t PanelQuantsBytes(TensorType type) {
  return kPanelOutputs * BlockBytes(type) - PanelHalvesBytes(type);
}

// A panel is 16 outputs. Of
//   F32, F16, BF16   it holds one weight of each output, by inputs in ascending order;
//   Q8_0             by blocks 16 half scales; then, from PanelView::quants on, a multiple of 64, by blocks 8 groups of
//                    64 bytes: group g holds weights 4g .. 4g + 3 of each output;
//   Q4_0             as Q8_0, but 4 groups, of the file's nibble bytes 4g .. 4g + 3 of each output;
//   Q4_1             16 half scales and 16 half minima; groups as in Q4_0.
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
  size_t quants_ = 0;  // offset in a panel
  size_t panel_bytes_ = 0;
  LazyMemory memory_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_PANELS_H_
