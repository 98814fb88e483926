// Weights and activations in the order in which tensor cores take them: cores of 8 outputs (or rows of activations) by
// 16 inputs, 128 bytes, which ldmatrix, wgmma and a copy of a whole tile all take as they lie. Both come in chunks of
// 16 outputs (rows) by 4 blocks of 32 inputs; a chunk is contiguous, and so are the chunks of the same 16. One order
// serves one row and thousands: a device keeps one copy of its weights.
//
// A chunk has two halves of 8 outputs (rows). Within a half: [block][16 inputs][output or row][input], and the scales.
#ifndef KEDGE_TESTS_GPU_FRAGMENTS_H_
#define KEDGE_TESTS_GPU_FRAGMENTS_H_

#include <cstddef>

namespace kedge::probe {

inline constexpr int kChunkBlocks = 4;
inline constexpr int kChunkInputs = 32 * kChunkBlocks;
inline constexpr int kGroup = 16;       // outputs or rows of a chunk
inline constexpr int kCoreBytes = 128;  // two of them are a block of 8 outputs or rows

// Where input `k` of a chunk lies in a half, for output or row `row` of 8. 16 inputs from a multiple of 16 on are
// together.
constexpr int CoreByte(int row, int k) { return k / 16 * kCoreBytes + row * 16 + k % 16; }

// Activations. A half: 4 blocks in 8 bits, then [block][row] scales. Behind both halves: [half][block][row] scaled
// sums, for weights with minima.
inline constexpr int kRowScales = 2 * kChunkBlocks * kCoreBytes;
inline constexpr int kRowHalf = kRowScales + kChunkBlocks * 8 * 4;
inline constexpr int kRowSums = 2 * kRowHalf;
inline constexpr int kRowChunkBytes = kRowSums + 2 * kChunkBlocks * 8 * 4;
// Of [rows / 16][inputs / 128] chunks.
constexpr size_t RowBytes(size_t rows, size_t inputs) {
  return (rows + kGroup - 1) / kGroup * (inputs / kChunkInputs) * kRowChunkBytes;
}

// Q8_0, 8.5 bits a weight. A half: 4 blocks, then [output][block] scales as halves.
inline constexpr int kQ8Scales = 2 * kChunkBlocks * kCoreBytes;
inline constexpr int kQ8Half = kQ8Scales + 8 * kChunkBlocks * 2;
inline constexpr int kQ8ChunkBytes = 2 * kQ8Half;

// Q4_K, 4.75 bits a weight. A half: low nibbles hold blocks 0 and 1, high ones 2 and 3; then for each of the 8 outputs
// 4 bytes of scales, 4 of minima, and the halves by which they are multiplied. (GGUF packs the bytes into 6 bits, and
// has the halves once in 8 blocks: 5 % less memory, and more to take apart.)
inline constexpr int kQ4Scales = kChunkBlocks * kCoreBytes;
inline constexpr int kQ4Half = kQ4Scales + 8 * 12;
inline constexpr int kQ4ChunkBytes = 2 * kQ4Half;

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_FRAGMENTS_H_
