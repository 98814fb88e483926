// Whether numbers are numbers: infinities and NaNs are what has all bits of the exponent set, in every type. Looked for
// in all keys, values and logits, so it takes 64 bits at a time and does not branch.
#ifndef KEDGE_COMMON_KERNELS_FINITE_H_
#define KEDGE_COMMON_KERNELS_FINITE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/kernels/row_shape.h"

namespace kedge {

// Of `size` numbers of the type at `data`; of types with scales a part as pages have it, whose scales tell.
inline bool AllFinite(KvType type, const void* data, size_t size) {
  if (HasScales(type)) {
    return AllFinite(KvType::kF16, static_cast<const uint8_t*>(data) + size, ScaleBlocks(static_cast<uint32_t>(size)));
  }
  // Adding the lowest bit of the exponent carries into the sign bit, which was masked, if all bits of it are set.
  uint64_t exponent = 0x7f8000007f800000u, lowest = 0x0080000000800000u;
  if (type == KvType::kF16) exponent = 0x7c007c007c007c00u, lowest = 0x0400040004000400u;
  if (type == KvType::kBF16) exponent = 0x7f807f807f807f80u, lowest = 0x0080008000800080u;
  const uint64_t sign = type == KvType::kF32 ? 0x8000000080000000u : 0x8000800080008000u;

  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  const size_t count = size * KvTypeBytes(type);
  uint64_t seen[4] = {};
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    uint64_t words[4];
    std::memcpy(words, bytes + i, 32);
    for (int k = 0; k < 4; ++k) seen[k] |= (words[k] & exponent) + lowest;
  }
  for (; i < count; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, count - i < 8 ? count - i : 8);
    seen[0] |= (word & exponent) + lowest;
  }
  return ((seen[0] | seen[1] | seen[2] | seen[3]) & sign) == 0;
}

inline bool AllFinite(const float* values, size_t size) { return AllFinite(KvType::kF32, values, size); }

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_FINITE_H_
