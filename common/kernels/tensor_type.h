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
  kQ4_0 = 2,  // blocks of 32: f16 d, 16 bytes of nibbles (value i: low nibble of byte i, value i + 16: high nibble);
              // value = d * (q - 8)
  kQ4_1 = 3,  // blocks of 32: f16 d, f16 m, 16 bytes of nibbles as in Q4_0; value = d * q + m
  kQ8_0 = 8,  // blocks of 32: f16 d, 32 int8; value = d * q
  kBF16 = 30,
};

// "Q4_1" and so on; "type 12" for a type that Kedge does not read.
std::string TensorTypeName(TensorType type);
bool IsSupported(TensorType type);
// Values per block (1 or 32) and bytes per block. REQUIRES: IsSupported(type).
int BlockSize(TensorType type);
int BlockBytes(TensorType type);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_TENSOR_TYPE_H_
