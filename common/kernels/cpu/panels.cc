// Packing interleaves the rows of 16 outputs in units: of one number (floats, scales) or of 4 bytes (quants), which is
// what one lane of an integer product takes. Tested by kernels_test.cc.
#include "common/kernels/cpu/panels.h"

#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/kernels/block_32.h"
#include "common/kernels/dequantize.h"

namespace kedge {

PanelForm FormOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return PanelForm::kF32;
    case TensorType::kF16:
      return PanelForm::kF16;
    case TensorType::kBF16:
      return PanelForm::kBF16;
    case TensorType::kQ8_0:
      return PanelForm::kBytes;
    case TensorType::kQ4_0:
      return PanelForm::kNibbles;
    case TensorType::kQ4_1:
      return PanelForm::kNibblesMinimum;
    case TensorType::kQ4_K:
      return PanelForm::kNibblesFloat;
    case TensorType::kQ5_0:
    case TensorType::kQ5_1:
    case TensorType::kQ5_K:
      return PanelForm::kBytesFloat;
    case TensorType::kQ6_K:
      return PanelForm::kBytesTwoScales;
  }
  KEDGE_CHECK(false);
}

CpuMatrix::CpuMatrix(TensorType type, int outputs, int inputs, absl::Span<const uint8_t> data, ThreadPool& pool,
                     PanelImage* image)
    : type_(type), form_(FormOf(type)), outputs_(outputs), inputs_(inputs), data_(data) {
  KEDGE_CHECK(inputs % BlockSize(type) == 0);
  row_bytes_ = TensorBytes(type, inputs);
  KEDGE_CHECK(data.size() >= row_bytes_ * outputs);
  if (IsQuantized(form_)) {
    const size_t blocks = inputs / 32;
    quants_ = (blocks * PanelScalesBytes(form_) + 63) / 64 * 64;
    panel_bytes_ = quants_ + blocks * PanelQuantsBytes(form_);
  } else {
    panel_bytes_ = (row_bytes_ * kPanelOutputs + 63) / 64 * 64;
  }
  PanelImage none("");
  PanelImage::Part part = (image != nullptr ? *image : none).Next(panel_bytes_ * panels());
  memory_ = std::move(part.memory);
  guarded_ = std::move(part.guarded);
  if (part.packed) return;
  pool.ParallelFor(panels(), 1, [this](int begin, int end) {
    for (int panel = begin; panel < end; ++panel) PackPanel(panel);
  });
}

PanelView CpuMatrix::view() const { return {form_, inputs_, panel_bytes_, quants_, memory_.data()}; }

absl::Span<const uint8_t> CpuMatrix::FileRow(int output) const {
  return data_.subspan(output * row_bytes_, row_bytes_);
}

namespace {

// Copies `units` units of Unit bytes from `from` into every sixteenth unit of `to`.
template <size_t Unit>
void Interleave(const uint8_t* from, size_t units, uint8_t* to) {
  for (size_t i = 0; i < units; ++i) std::memcpy(to + i * Unit * kPanelOutputs, from + i * Unit, Unit);
}

}  // namespace

void CpuMatrix::PackPanel(int panel) {
  uint8_t* out = memory_.data() + panel * panel_bytes_;  // zeroed
  for (int lane = 0; lane < kPanelOutputs; ++lane) {
    const int output = panel * kPanelOutputs + lane;
    if (output >= outputs_) break;
    const uint8_t* row = FileRow(output).data();
    switch (form_) {
      case PanelForm::kF32:
        Interleave<4>(row, inputs_, out + 4 * lane);
        break;
      case PanelForm::kF16:
      case PanelForm::kBF16:
        Interleave<2>(row, inputs_, out + 2 * lane);
        break;
      case PanelForm::kBytes:
      case PanelForm::kNibbles:
      case PanelForm::kNibblesMinimum:
        PackFileBlocks(row, lane, out);
        break;
      default:
        PackBlocks32(row, lane, out);
    }
  }
}

// Halves and quants as they stand in the file.
void CpuMatrix::PackFileBlocks(const uint8_t* row, int lane, uint8_t* out) const {
  const size_t halves = PanelScalesBytes(form_) / 2 / kPanelOutputs;
  const size_t units = PanelQuantsBytes(form_) / 4 / kPanelOutputs;
  for (int block = 0; block < inputs_ / 32; ++block) {
    const uint8_t* from = row + size_t(block) * BlockBytes(type_);
    Interleave<2>(from, halves, out + block * PanelScalesBytes(form_) + 2 * lane);
    Interleave<4>(from + 2 * halves, units, out + quants_ + block * PanelQuantsBytes(form_) + 4 * lane);
  }
}

void CpuMatrix::PackBlocks32(const uint8_t* row, int lane, uint8_t* out) const {
  for (int block = 0; block < inputs_ / 32; ++block) {
    const Block32 weights = ReadBlock32(type_, row, block);
    const bool two_scales = form_ == PanelForm::kBytesTwoScales;
    const float scales[2] = {weights.scale[0], two_scales ? weights.scale[1] : weights.minimum};
    Interleave<4>(reinterpret_cast<const uint8_t*>(scales), 2, out + block * PanelScalesBytes(form_) + 4 * lane);
    uint8_t quants[32];
    for (int i = 0; i < 32; ++i) quants[i] = static_cast<uint8_t>(weights.quants[i] + (two_scales ? 32 : 0));
    if (IsNibbles(form_)) {
      for (int i = 0; i < 16; ++i) quants[i] = static_cast<uint8_t>(quants[i] | quants[i + 16] << 4);
    }
    Interleave<4>(quants, PanelQuantsBytes(form_) / 4 / kPanelOutputs,
                  out + quants_ + block * PanelQuantsBytes(form_) + 4 * lane);
  }
}

}  // namespace kedge
