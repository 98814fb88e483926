// Tested by rounding_test.cc.
#include "eval/rounding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/kernels/number_format.h"

namespace kedge {
namespace {

float Load(KvType type, const uint8_t* from) {
  if (type == KvType::kF32) {
    float value;
    std::memcpy(&value, from, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return type == KvType::kF16 ? FromHalf(bits) : FromBFloat16(bits);
}

void Store(KvType type, float value, uint8_t* to) {
  if (type == KvType::kF32) {
    std::memcpy(to, &value, sizeof(value));
    return;
  }
  const uint16_t bits = type == KvType::kF16 ? ToHalf(value) : ToBFloat16(value);
  std::memcpy(to, &bits, sizeof(bits));
}

// `count` values, each `stride` bytes behind the one before.
void RoundGroup(KvType type, int bits, size_t count, size_t stride, uint8_t* values) {
  float least = Load(type, values), greatest = least;
  for (size_t i = 0; i < count; ++i) {
    const float value = Load(type, values + i * stride);
    if (!std::isfinite(value)) return;
    least = std::min(least, value);
    greatest = std::max(greatest, value);
  }
  const float steps = static_cast<float>((1 << bits) - 1);
  const float zero = FromHalf(ToHalf(least)), step = FromHalf(ToHalf((greatest - zero) / steps));
  for (size_t i = 0; i < count; ++i) {
    uint8_t* place = values + i * stride;
    const float number = step > 0 ? std::clamp(std::nearbyint((Load(type, place) - zero) / step), 0.0f, steps) : 0.0f;
    Store(type, zero + number * step, place);
  }
}

}  // namespace

absl::Status RoundRows(const RowShape& shape, int bits, absl::Span<uint8_t> rows) {
  if (shape.type != KvType::kF32 && shape.type != KvType::kF16 && shape.type != KvType::kBF16) {
    return absl::InvalidArgumentError(absl::StrCat("--kv-type: rows of ", KvTypeName(shape.type),
                                                   " cannot be rounded again: measure with f16, bf16 or f32"));
  }
  const size_t element = KvTypeBytes(shape.type), dim = shape.head_dim, count = rows.size() / shape.row_bytes();
  uint8_t* block = rows.data();  // [row][dim] of a head's keys, then of its values
  for (size_t head = 0; head < size_t{shape.layers} * shape.kv_heads; ++head) {
    for (size_t first = 0; first < count; first += kRoundingGroup) {
      const size_t size = std::min<size_t>(kRoundingGroup, count - first);
      for (size_t channel = 0; channel < dim; ++channel) {
        RoundGroup(shape.type, bits, size, dim * element, block + (first * dim + channel) * element);
      }
    }
    block += count * dim * element;
    for (size_t row = 0; row < count; ++row) {
      for (size_t first = 0; first < dim; first += kRoundingGroup) {
        RoundGroup(shape.type, bits, std::min<size_t>(kRoundingGroup, dim - first), element,
                   block + (row * dim + first) * element);
      }
    }
    block += count * dim * element;
  }
  return absl::OkStatus();
}

uint64_t RoundedRowBytes(const RowShape& shape, int bits, uint64_t rows) {
  constexpr uint64_t kBytesOfGroup = 4;
  const uint64_t values = rows * shape.head_dim;  // of one head's keys, and of its values
  const uint64_t key_groups = (rows + kRoundingGroup - 1) / kRoundingGroup * shape.head_dim;
  const uint64_t value_groups = rows * ((shape.head_dim + kRoundingGroup - 1) / kRoundingGroup);
  const uint64_t head = (2 * values * bits + 7) / 8 + (key_groups + value_groups) * kBytesOfGroup;
  return uint64_t{shape.layers} * shape.kv_heads * head;
}

}  // namespace kedge
