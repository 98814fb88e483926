// Weight matrices packed for vectors whose lanes are outputs.
#ifndef KEDGE_COMMON_KERNELS_CPU_PANELS_H_
#define KEDGE_COMMON_KERNELS_CPU_PANELS_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/types/span.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cpu/kernels.h"
#include "common/kernels/cpu/panel_image.h"
#include "common/kernels/lazy_memory.h"
#include "common/kernels/ops.h"

namespace kedge {

// Rows of activations whose largest value is not above this quantise to zeros: 127 / largest would overflow.
inline constexpr float kSmallestQuantized = 1e-30f;

constexpr bool IsQuantized(PanelForm form) { return form >= PanelForm::kBytes; }
PanelForm FormOf(TensorType type);

// Bytes of 16 outputs by one block of 32 inputs: of scales and minima, and of quants.
constexpr size_t PanelScalesBytes(PanelForm form) {
  switch (form) {
    case PanelForm::kBytes:
    case PanelForm::kNibbles:
      return 2 * kPanelOutputs;
    case PanelForm::kNibblesMinimum:
      return 4 * kPanelOutputs;
    default:
      return 8 * kPanelOutputs;
  }
}
constexpr bool HasMinimum(PanelForm form) {
  return form == PanelForm::kNibblesMinimum || form == PanelForm::kNibblesFloat || form == PanelForm::kBytesFloat;
}
constexpr bool IsNibbles(PanelForm form) {
  return form == PanelForm::kNibbles || form == PanelForm::kNibblesMinimum || form == PanelForm::kNibblesFloat;
}
constexpr size_t PanelQuantsBytes(PanelForm form) { return (IsNibbles(form) ? 16 : 32) * kPanelOutputs; }

// function(form), the form as a constant of the compiler's. REQUIRES: IsQuantized(form).
template <typename Function>
void ForQuantizedForm(PanelForm form, Function function) {
  switch (form) {
    case PanelForm::kNibbles:
      return function(std::integral_constant<PanelForm, PanelForm::kNibbles>());
    case PanelForm::kNibblesMinimum:
      return function(std::integral_constant<PanelForm, PanelForm::kNibblesMinimum>());
    case PanelForm::kNibblesFloat:
      return function(std::integral_constant<PanelForm, PanelForm::kNibblesFloat>());
    case PanelForm::kBytesFloat:
      return function(std::integral_constant<PanelForm, PanelForm::kBytesFloat>());
    case PanelForm::kBytesTwoScales:
      return function(std::integral_constant<PanelForm, PanelForm::kBytesTwoScales>());
    default:
      return function(std::integral_constant<PanelForm, PanelForm::kBytes>());
  }
}

// A panel is 16 outputs.
//   kF32, kF16, kBF16   hold one weight of each output, by inputs in ascending order.
//   The others          hold by blocks 16 scales, then 16 minima or second scales where the form has them; then, from
//                       PanelView::quants on, a multiple of 64, the quants by blocks, in groups of 64 bytes: group g
//                       holds weights 4g .. 4g + 3 of each output. Nibbles: 4 groups of bytes; the low nibbles are
//                       weights 0..15, the high ones 16..31.
// The last panel is filled up with zeros. Thread-compatible.
class CpuMatrix final : public WeightMatrix {
 public:
  // Takes the panels out of `image`, or packs `data` into it, with all threads of `pool`; without an image, into memory
  // of its own. `data` must outlive the matrix: embeddings are read from it.
  CpuMatrix(TensorType type, int outputs, int inputs, absl::Span<const uint8_t> data, ThreadPool& pool,
            PanelImage* image = nullptr);

  int outputs() const { return outputs_; }
  int inputs() const { return inputs_; }
  int panels() const { return (outputs_ + kPanelOutputs - 1) / kPanelOutputs; }
  PanelView view() const;
  // The weights of one output as they stand in the file.
  absl::Span<const uint8_t> FileRow(int output) const;
  TensorType type() const { return type_; }
  PanelForm form() const { return form_; }

 private:
  void PackPanel(int panel);
  // Blocks of the output that goes into a lane of the panel at `out`.
  void PackFileBlocks(const uint8_t* row, int lane, uint8_t* out) const;
  void PackBlocks32(const uint8_t* row, int lane, uint8_t* out) const;

  const TensorType type_;
  const PanelForm form_;
  const int outputs_;
  const int inputs_;
  const absl::Span<const uint8_t> data_;
  size_t row_bytes_ = 0;
  size_t quants_ = 0;  // offset in a panel
  size_t panel_bytes_ = 0;
  LazyMemory memory_;
  ImageGuard::Region guarded_;  // goes before the memory
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_PANELS_H_
