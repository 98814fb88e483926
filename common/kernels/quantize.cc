// Plain loops of 32 without calls or branches inside, which the compiler turns into vectors. Tested by quantize_test.cc.
#include "common/kernels/quantize.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/base/check.h"
#include "common/kernels/dequantize.h"
#include "common/kernels/number_format.h"

namespace kedge {
namespace {

constexpr int kBlock = 32;
constexpr int kBlockBytes = 2 + kBlock;

// REQUIRES: |value| < 2^31.
int32_t RoundHalfAway(float value) {
  const int32_t whole = static_cast<int32_t>(value);
  const float rest = value - static_cast<float>(whole);  // exact
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

bool QuantizeBlock(const float* values, uint8_t* out) {
  int32_t largest_bits = 0;  // the bits of magnitudes are ordered as they are, infinity and NaN last
  for (int i = 0; i < kBlock; ++i) {
    largest_bits = std::max(largest_bits, std::bit_cast<int32_t>(values[i]) & 0x7fffffff);
  }
  if (largest_bits >= 0x7f800000) return false;
  const float d = std::bit_cast<float>(largest_bits) / 127;
  const uint16_t half = ToHalf(d);
  if (half >= 0x7c00u) return false;  // infinity
  if (half == 0) {
    std::memset(out, 0, kBlockBytes);
    return true;
  }
  int8_t quants[kBlock];
  for (int i = 0; i < kBlock; ++i) quants[i] = static_cast<int8_t>(RoundHalfAway(values[i] / d));
  std::memcpy(out, &half, sizeof(half));
  std::memcpy(out + sizeof(half), quants, sizeof(quants));
  return true;
}

}  // namespace

bool QuantizeQ8(absl::Span<const float> values, absl::Span<uint8_t> out) {
  KEDGE_CHECK(values.size() % kBlock == 0 && out.size() == TensorBytes(TensorType::kQ8_0, values.size()));
  for (size_t block = 0; block < values.size() / kBlock; ++block) {
    if (!QuantizeBlock(&values[block * kBlock], &out[block * kBlockBytes])) return false;
  }
  return true;
}

}  // namespace kedge
