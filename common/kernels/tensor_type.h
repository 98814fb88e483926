// Element types of weight tensors, with the numbers and block layouts of GGUF files.
#ifndef KEDGE_COMMON_KERNELS_TENSOR_TYPE_H_
#define KEDGE_COMMON_KERNELS_TENSOR_TYPE_H_

#include <cstdint>
#include <string>

namespace kedge {

// A file may name other types; whoever needs such a tensor reports which type it has.
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,   // blocks of 32: f16 d, 16 bytes of nibbles (value i: low nibble of byte i, value i + 16: high nibble);
               // value = d * (q - 8)
  kQ4_1 = 3,   // blocks of 32: f16 d, f16 m, 16 bytes of nibbles as in Q4_0; value = d * q + m
  kQ5_0 = 6,   // blocks of 32: f16 d, 4 bytes of fifth bits, nibbles as in Q4_0; value = d * (q - 16)
  kQ5_1 = 7,   // blocks of 32: f16 d, f16 m, fifth bits, nibbles; value = d * q + m
  kQ8_0 = 8,   // blocks of 32: f16 d, 32 int8; value = d * q
  kQ4_K = 12,  // blocks of 256 = 8 of 32, each with a 6-bit scale and minimum, times d and dmin of all (block_32.cc)
  kQ5_K = 13,  // the same with 5-bit quants
  kQ6_K = 14,  // blocks of 256 = 16 of 16, each with an 8-bit scale, times d of all; 6-bit quants
  kBF16 = 30,
};

// "Q4_1" and so on; "type 12" for a type that Kedge does not read.
std::string TensorTypeName(TensorType type);
bool IsSupported(TensorType type);
// Values per block (1, 32 or 256) and bytes per block. REQUIRES: IsSupported(type).
int BlockSize(TensorType type);
int BlockBytes(TensorType type);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_TENSOR_TYPE_H_
