// Operations within one row, in plain C++. Tested by kernels_test.cc.
#include <cmath>
#include <cstring>

#include "common/kernels/cpu/exp.h"
#include "common/kernels/cpu/scalar.h"
#include "common/kernels/number_format.h"
#include "common/kernels/rounded_blocks.h"

namespace kedge::scalar {

void RmsNorm(const float* x, const float* weight, float epsilon, int size, float* out) {
  float lanes[8] = {};
  for (int i = 0; i < size; ++i) lanes[i % 8] = std::fma(x[i], x[i], lanes[i % 8]);
  const float squares =
      ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(size) + epsilon);
  for (int i = 0; i < size; ++i) out[i] = x[i] * scale * weight[i];
}

void Rope(const float* cos, const float* sin, int size, float* x) {
  for (int i = 0; i < size; i += 2) {
    const float even = x[i];
    const float odd = x[i + 1];
    x[i] = std::fma(even, cos[i], odd * sin[i]);
    x[i + 1] = std::fma(odd, cos[i + 1], even * sin[i + 1]);
  }
}

void Add(const float* y, int size, float* x) {
  for (int i = 0; i < size; ++i) x[i] += y[i];
}

void SwiGlu(const float* up, int size, float* gate) {
  for (int i = 0; i < size; ++i) gate[i] = gate[i] / (1.0f + ExpFloat(-gate[i])) * up[i];
}

void ToKv(KvType type, KvPart part, const float* x, int size, void* out) {
  if (type == KvType::kF32) {
    if (size > 0) std::memcpy(out, x, sizeof(float) * size);  // of nothing there may be no address
    return;
  }
  if (HasScales(type)) return RoundBlocks(x, size, RoundingSteps(type, part), static_cast<uint8_t*>(out));
  uint16_t* halves = static_cast<uint16_t*>(out);
  for (int i = 0; i < size; ++i) halves[i] = type == KvType::kF16 ? ToHalf(x[i]) : ToBFloat16(x[i]);
}

}  // namespace kedge::scalar
