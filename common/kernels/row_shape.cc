// Names and sizes of KV element types. Tested by row_shape_test.cc.
#include "common/kernels/row_shape.h"

#include "absl/strings/str_cat.h"

namespace kedge {

int KvTypeBytes(KvType type) { return type == KvType::kF32 ? 4 : 2; }

const char* KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kBF16:
      return "bf16";
  }
  return "unknown";
}

absl::StatusOr<KvType> ParseKvType(absl::string_view name) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16}) {
    if (name == KvTypeName(type)) return type;
  }
  return absl::InvalidArgumentError(absl::StrCat("kv-type: \"", name, "\" is unknown; known are f16, bf16 and f32"));
}

}  // namespace kedge
