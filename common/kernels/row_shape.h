// The shape and the type of KV rows; what they take.
#ifndef KEDGE_COMMON_KERNELS_ROW_SHAPE_H_
#define KEDGE_COMMON_KERNELS_ROW_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// Type of keys and values. The numbers are those of common/anchor/FORMAT.md.
enum class KvType : uint8_t {
  kF32 = 1,
  kF16 = 2,
  kBF16 = 3,
  kQ8 = 4,  // 8 bits, and a scale (a half) for each kScaleBlock of them (q8.h)
};
inline constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kF32, KvType::kBF16, KvType::kQ8};
// Of programs that are not told another one.
inline constexpr KvType kDefaultKvType = KvType::kQ8;
const char* KvTypeName(KvType type);                         // "f32", "f16", "bf16", "q8"
absl::StatusOr<KvType> ParseKvType(absl::string_view name);  // kInvalidArgument lists the names
std::vector<std::string> KvTypeNames();

// Bytes of one number, its share of a scale left out.
constexpr int KvTypeBytes(KvType type) { return type == KvType::kF32 ? 4 : type == KvType::kQ8 ? 1 : 2; }

// Neighbours of one head's key or value that share a scale; the last ones of a head may be fewer.
inline constexpr uint32_t kScaleBlock = 32;
// Scales of so many numbers of one head, whose type has some.
constexpr uint32_t ScaleBlocks(uint32_t size) { return (size + kScaleBlock - 1) / kScaleBlock; }
constexpr bool HasScales(KvType type) { return type == KvType::kQ8; }

// Bytes of one head's key or value [size]: the numbers, then the scales that they have.
constexpr size_t KvPartBytes(KvType type, uint32_t size) {
  return size_t{size} * KvTypeBytes(type) + (HasScales(type) ? sizeof(uint16_t) * ScaleBlocks(size) : 0);
}

// One row: keys and values of all layers for one token.
struct RowShape {
  uint32_t layers = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  KvType type = KvType::kF16;
  // A part is the key or the value of one layer and KV head; a row is its parts, [layer][KV head][key, value].
  size_t part_bytes() const { return KvPartBytes(type, head_dim); }
  size_t row_bytes() const { return size_t{2} * layers * kv_heads * part_bytes(); }
  friend bool operator==(const RowShape&, const RowShape&) = default;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_ROW_SHAPE_H_
