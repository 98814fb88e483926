// Quantised weights in one form, to which all layouts with more than a scale and quants of 4 or 8 bits can be brought.
#ifndef KEDGE_COMMON_KERNELS_BLOCK_32_H_
#define KEDGE_COMMON_KERNELS_BLOCK_32_H_

#include <cstddef>
#include <cstdint>

#include "common/kernels/tensor_type.h"

namespace kedge {

// 32 weights: weight i is scale[i / 16] * quants[i] + minimum.
struct Block32 {
  int8_t quants[32];
  float scale[2];
  float minimum;
};

// Block `index` of 32 of a row that lies at `row` as in a file. Exact: the products of scales fit a float.
// REQUIRES: the type is Q5_0, Q5_1, Q4_K, Q5_K or Q6_K.
Block32 ReadBlock32(TensorType type, const uint8_t* row, size_t index);

// Of the 8 blocks of 32 in one of Q4_K or Q5_K, whose scales and minima are 12 bytes at `packed`: those of block `index`.
struct SixBits {
  int scale, minimum;
};
SixBits ReadSixBits(const uint8_t* packed, int index);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_BLOCK_32_H_
