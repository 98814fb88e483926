// Weights and activations in the order in which tensor cores take them: cores of 8 outputs (or rows of activations) by
// 16 inputs, 128 bytes, which ldmatrix and a copy of a whole tile take as they lie. Both come in chunks of 16 outputs
// (rows) by 4 blocks of 32 inputs; a chunk is contiguous, and so are the chunks of the same 16. One order serves one row
// and thousands: a device keeps one copy of its weights. The last chunk is filled up with blocks of zeros, which change
// no sum.
//
// A chunk has two halves of 8 outputs (rows). Within a half: [block][16 inputs][output or row][input], and the scales.
#ifndef KEDGE_COMMON_KERNELS_CUDA_FRAGMENTS_H_
#define KEDGE_COMMON_KERNELS_CUDA_FRAGMENTS_H_

#include <cstddef>

namespace kedge::cuda {

inline constexpr int kChunkBlocks = 4;
inline constexpr int kChunkInputs = 32 * kChunkBlocks;
inline constexpr int kGroup = 16;       // outputs or rows of a chunk
inline constexpr int kCoreBytes = 128;  // two of them are a block of 8 outputs or rows

constexpr int ChunksOf(int inputs) { return (inputs + kChunkInputs - 1) / kChunkInputs; }
constexpr int GroupsOf(int outputs) { return (outputs + kGroup - 1) / kGroup; }

// Where input `k` of a chunk lies in a half, for output or row `row` of 8. 16 inputs from a multiple of 16 on are
// together.
constexpr int CoreByte(int row, int k) { return k / 16 * kCoreBytes + row * 16 + k % 16; }

// Activations. A half: 4 blocks in 8 bits, then [block][row] scales. Behind both halves: [half][block][row] scaled
// sums, for weights with minima.
inline constexpr int kRowScales = 2 * kChunkBlocks * kCoreBytes;
inline constexpr int kRowHalf = kRowScales + kChunkBlocks * 8 * 4;
inline constexpr int kRowSums = 2 * kRowHalf;
inline constexpr int kRowChunkBytes = kRowSums + 2 * kChunkBlocks * 8 * 4;
// Tiles of products read whole groups of rows.
inline constexpr int kOperandRows = 128;
// Of [rows / 16][chunks], for rows up to a multiple of kOperandRows.
constexpr size_t OperandBytes(size_t rows, int columns) {
  return (rows + kOperandRows - 1) / kOperandRows * (kOperandRows / kGroup) * ChunksOf(columns) * kRowChunkBytes;
}

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_FRAGMENTS_H_
