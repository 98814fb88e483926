// The shape and the element type of KV rows.
#ifndef KEDGE_COMMON_KERNELS_ROW_SHAPE_H_
#define KEDGE_COMMON_KERNELS_ROW_SHAPE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// Element type of keys and values. The numbers are those of common/anchor/FORMAT.md.
enum class KvType : uint8_t { kF32 = 1, kF16 = 2, kBF16 = 3 };
int KvTypeBytes(KvType type);
const char* KvTypeName(KvType type);                         // "f32", "f16", "bf16"
absl::StatusOr<KvType> ParseKvType(absl::string_view name);  // kInvalidArgument lists the names

// One row: keys and values of all layers for one token.
struct RowShape {
  uint32_t layers = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  KvType type = KvType::kF16;
  // Bytes of one row: layers * kv_heads * 2 * head_dim * element.
  size_t row_bytes() const { return size_t{2} * layers * kv_heads * head_dim * KvTypeBytes(type); }
  friend bool operator==(const RowShape&, const RowShape&) = default;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_ROW_SHAPE_H_
