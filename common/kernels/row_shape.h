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
  kQ8 = 4,    // 8 bits, and a scale (a half) for each kScaleBlock of them (rounded_blocks.h)
  kK6V4 = 5,  // likewise, keys in 6 bits and values in 4: scores follow from keys, and suffer first
};
inline constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kF32, KvType::kBF16, KvType::kQ8, KvType::kK6V4};
// Of programs that are not told another one.
inline constexpr KvType kDefaultKvType = KvType::kK6V4;
const char* KvTypeName(KvType type);                         // "f32", "f16", "bf16", "q8", "k6v4"
absl::StatusOr<KvType> ParseKvType(absl::string_view name);  // kInvalidArgument lists the names
std::vector<std::string> KvTypeNames();

enum class KvPart { kKey, kValue };
inline constexpr KvPart kKvParts[] = {KvPart::kKey, KvPart::kValue};

// Bits of one number of a row, its share of a scale left out.
constexpr uint32_t KvBits(KvType type, KvPart part) {
  if (type == KvType::kK6V4) return part == KvPart::kKey ? 6 : 4;
  return type == KvType::kF32 ? 32 : type == KvType::kQ8 ? 8 : 16;
}

// As what pages of devices have a row: in whole bytes, so that kernels know no pieces of them. Rows of k6v4 are small
// where they travel and where they are held, and take the memory of q8 where they are computed with.
constexpr KvType PageType(KvType type) { return type == KvType::kK6V4 ? KvType::kQ8 : type; }

// Bytes of one number in a page, its share of a scale left out.
constexpr int KvTypeBytes(KvType type) { return static_cast<int>(KvBits(PageType(type), KvPart::kKey) / 8); }

// Neighbours of one head's key or value that share a scale; the last ones of a head may be fewer.
inline constexpr uint32_t kScaleBlock = 32;
// Scales of so many numbers of one head, whose type has some.
constexpr uint32_t ScaleBlocks(uint32_t size) { return (size + kScaleBlock - 1) / kScaleBlock; }
constexpr bool HasScales(KvType type) { return PageType(type) == KvType::kQ8; }

// From 0 to the largest number of a block, in steps of its scale. REQUIRES: HasScales(type).
constexpr float RoundingSteps(KvType type, KvPart part) {
  return static_cast<float>((1 << (KvBits(type, part) - 1)) - 1);
}

// Bytes of one head's key or value [size] in a row: the numbers, bit behind bit, then the scales that they have.
constexpr size_t KvNumberBytes(KvType type, KvPart part, uint32_t size) {
  return (size_t{size} * KvBits(type, part) + 7) / 8;
}
constexpr size_t KvPartBytes(KvType type, KvPart part, uint32_t size) {
  return KvNumberBytes(type, part, size) + (HasScales(type) ? sizeof(uint16_t) * ScaleBlocks(size) : 0);
}
// ... as pages have it: keys and values alike.
constexpr size_t PagePartBytes(KvType type, uint32_t size) {
  return KvPartBytes(PageType(type), KvPart::kKey, size);
}

// One row: keys and values of all layers for one token.
struct RowShape {
  uint32_t layers = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  KvType type = KvType::kF16;
  // A row is its parts, [layer][KV head][key, value].
  size_t part_bytes(KvPart part) const { return KvPartBytes(type, part, head_dim); }
  size_t pair_bytes() const { return part_bytes(KvPart::kKey) + part_bytes(KvPart::kValue); }
  size_t row_bytes() const { return size_t{layers} * kv_heads * pair_bytes(); }
  // Where a frame of so many rows, which is [layer][KV head][key, value][row], has a part. `head` counts those of all
  // layers. A frame of one row is the row.
  size_t FrameOffset(size_t rows, size_t head, KvPart part, size_t row) const {
    const size_t keys = part == KvPart::kKey ? 0 : rows * part_bytes(KvPart::kKey);
    return rows * head * pair_bytes() + keys + row * part_bytes(part);
  }
  // What it takes in pages, whatever a device fills up.
  size_t page_row_bytes() const { return size_t{2} * layers * kv_heads * PagePartBytes(type, head_dim); }
  friend bool operator==(const RowShape&, const RowShape&) = default;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_ROW_SHAPE_H_
