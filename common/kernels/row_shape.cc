// Names of KV types. Tested by row_shape_test.cc.
#include "common/kernels/row_shape.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace kedge {

const char* KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kBF16:
      return "bf16";
    case KvType::kQ8:
      return "q8";
    case KvType::kK6V4:
      return "k6v4";
  }
  return "unknown";
}

absl::StatusOr<KvType> ParseKvType(absl::string_view name) {
  for (KvType type : kKvTypes) {
    if (name == KvTypeName(type)) return type;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("kv-type: \"", name, "\" is unknown; known are ", absl::StrJoin(KvTypeNames(), ", ")));
}

std::vector<std::string> KvTypeNames() {
  std::vector<std::string> names;
  for (KvType type : kKvTypes) names.push_back(KvTypeName(type));
  return names;
}

}  // namespace kedge
