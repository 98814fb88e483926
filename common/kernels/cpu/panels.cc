// Packing interleaves the rows of 16 outputs in units: of one weight (float types) or of 4 bytes (quants), which is what
// one lane of an integer product takes. Tested by kernels_test.cc.
#include "common/kernels/cpu/panels.h"

#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/kernels/dequantize.h"

namespace kedge {

CpuMatrix::CpuMatrix(TensorType type, int outputs, int inputs, absl::Span<const uint8_t> data, ThreadPool& pool)
    : type_(type), outputs_(outputs), inputs_(inputs), data_(data) {
  KEDGE_CHECK(inputs % BlockSize(type) == 0);
  row_bytes_ = TensorBytes(type, inputs);
  KEDGE_CHECK(data.size() >= row_bytes_ * outputs);
  if (IsQuantized(type)) {
    const size_t blocks = inputs / 32;
    quants_ = (blocks * PanelHalvesBytes(type) + 63) / 64 * 64;
    panel_bytes_ = quants_ + blocks * PanelQuantsBytes(type);
  } else {
    panel_bytes_ = (row_bytes_ * kPanelOutputs + 63) / 64 * 64;
  }
  absl::StatusOr<LazyMemory> memory = LazyMemory::Allocate(panel_bytes_ * panels());
  KEDGE_CHECK(memory.ok());  // 64-bit address space; physical memory is only taken when it is written
  memory_ = *std::move(memory);
  pool.ParallelFor(panels(), 1, [this](int begin, int end) {
    for (int panel = begin; panel < end; ++panel) PackPanel(panel);
  });
}

PanelView CpuMatrix::view() const { return {type_, inputs_, panel_bytes_, quants_, memory_.data()}; }

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
    if (type_ == TensorType::kF32) {
      Interleave<4>(row, inputs_, out + 4 * lane);
    } else if (!IsQuantized(type_)) {
      Interleave<2>(row, inputs_, out + 2 * lane);
    } else {
      const size_t halves = HalvesOf(type_);
      const size_t units = (BlockBytes(type_) - 2 * halves) / 4;
      for (int block = 0; block < inputs_ / 32; ++block) {
        const uint8_t* from = row + size_t(block) * BlockBytes(type_);
        Interleave<2>(from, halves, out + block * PanelHalvesBytes(type_) + 2 * lane);
        Interleave<4>(from + 2 * halves, units, out + quants_ + block * PanelQuantsBytes(type_) + 4 * lane);
      }
    }
  }
}

}  // namespace kedge
