// How weights lie in a device's memory: in groups of outputs, a group in chunks of inputs.
//
// Quantised forms: chunks of 16 outputs by 128 inputs (fragments.h), two halves of 8 outputs. A half: the quants, in
// bytes, or in nibbles of which the low ones are blocks 0 and 1 and the high ones 2 and 3; then for each output
//   kBytes, kNibbles   4 half scales
//   kNibblesMinimum    4 half scales, 4 half minima
//   kNibblesPacked     4 bytes of scales, 4 of minima, and the halves by which they are multiplied. (GGUF packs the
//                      bytes into 6 bits, and has the halves once in 8 blocks: 5 % less memory, more to take apart.)
//   kBytesFloat        4 float scales, 4 float minima
//   kBytesTwoScales    4 float scales of the blocks' first 16 inputs, 4 of the others
//
// Float forms: chunks of 32 outputs, a lane of a warp each, by 64 inputs: [unit][output], a unit 16 bytes of an output.
//
// The last group and the last chunk are filled up with zeros.
#ifndef KEDGE_COMMON_KERNELS_CUDA_WEIGHT_LAYOUT_H_
#define KEDGE_COMMON_KERNELS_CUDA_WEIGHT_LAYOUT_H_

#include <cstddef>

#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/fragments.h"

namespace kedge::cuda {

constexpr bool IsNibbles(WeightForm form) {
  return form == WeightForm::kNibbles || form == WeightForm::kNibblesMinimum || form == WeightForm::kNibblesPacked;
}
constexpr bool HasMinimum(WeightForm form) {
  return form == WeightForm::kNibblesMinimum || form == WeightForm::kNibblesPacked || form == WeightForm::kBytesFloat;
}

// --- Quantised forms ---

// Behind which a half has its scales.
constexpr int QuantsBytes(WeightForm form) { return (IsNibbles(form) ? 1 : 2) * kChunkBlocks * kCoreBytes; }
// Of an output's in a chunk.
constexpr int ScalesBytes(WeightForm form) {
  switch (form) {
    case WeightForm::kBytes:
    case WeightForm::kNibbles:
      return 8;
    case WeightForm::kNibblesMinimum:
      return 16;
    case WeightForm::kNibblesPacked:
      return 12;
    default:
      return 32;
  }
}
constexpr int HalfBytes(WeightForm form) { return QuantsBytes(form) + 8 * ScalesBytes(form); }

// --- Float forms ---

inline constexpr int kFloatOutputs = 32, kFloatInputs = 64, kUnitBytes = 16;
constexpr int FloatBytes(WeightForm form) { return form == WeightForm::kF32 ? 4 : 2; }
constexpr int UnitInputs(WeightForm form) { return kUnitBytes / FloatBytes(form); }

// --- All ---

constexpr int GroupOutputs(WeightForm form) { return IsQuantized(form) ? kGroup : kFloatOutputs; }
constexpr int ChunkInputs(WeightForm form) { return IsQuantized(form) ? kChunkInputs : kFloatInputs; }
constexpr int ChunkBytes(WeightForm form) {
  return IsQuantized(form) ? 2 * HalfBytes(form) : kFloatOutputs * kFloatInputs * FloatBytes(form);
}
constexpr int Groups(WeightForm form, int outputs) { return (outputs + GroupOutputs(form) - 1) / GroupOutputs(form); }
constexpr int Chunks(WeightForm form, int inputs) { return (inputs + ChunkInputs(form) - 1) / ChunkInputs(form); }
constexpr size_t GroupBytes(WeightForm form, int inputs) { return size_t(Chunks(form, inputs)) * ChunkBytes(form); }

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_WEIGHT_LAYOUT_H_
