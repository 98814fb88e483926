// One table of the types. Tested by tensor_type_test.cc.
#include "common/kernels/tensor_type.h"

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {
namespace {

struct TypeInfo {
  TensorType type;
  const char* name;
  int block_size;
  int block_bytes;
};

constexpr TypeInfo kTypes[] = {
    {TensorType::kF32, "F32", 1, 4},       {TensorType::kF16, "F16", 1, 2},       {TensorType::kQ4_0, "Q4_0", 32, 18},
    {TensorType::kQ4_1, "Q4_1", 32, 20},   {TensorType::kQ5_0, "Q5_0", 32, 22},   {TensorType::kQ5_1, "Q5_1", 32, 24},
    {TensorType::kQ8_0, "Q8_0", 32, 34},   {TensorType::kQ4_K, "Q4_K", 256, 144}, {TensorType::kQ5_K, "Q5_K", 256, 176},
    {TensorType::kQ6_K, "Q6_K", 256, 210}, {TensorType::kBF16, "BF16", 1, 2},
};

const TypeInfo* Find(TensorType type) {
  for (const TypeInfo& info : kTypes) {
    if (info.type == type) return &info;
  }
  return nullptr;
}

}  // namespace

std::string TensorTypeName(TensorType type) {
  const TypeInfo* info = Find(type);
  return info != nullptr ? info->name : absl::StrCat("type ", static_cast<uint32_t>(type));
}

bool IsSupported(TensorType type) { return Find(type) != nullptr; }

int BlockSize(TensorType type) {
  KEDGE_CHECK(IsSupported(type));
  return Find(type)->block_size;
}

int BlockBytes(TensorType type) {
  KEDGE_CHECK(IsSupported(type));
  return Find(type)->block_bytes;
}

}  // namespace kedge
