// Attention over one page, in plain C++. Tested by kernels_test.cc.
#include <cmath>
#include <limits>

#include "common/kernels/cpu/exp.h"
#include "common/kernels/cpu/scalar.h"
#include "common/kernels/number_format.h"

namespace kedge::scalar {
namespace {

float LoadKv(KvType type, const void* data, size_t index) {
  switch (type) {
    case KvType::kF32:
      return static_cast<const float*>(data)[index];
    case KvType::kF16:
      return FromHalf(static_cast<const uint16_t*>(data)[index]);
    case KvType::kBF16:
      return FromBFloat16(static_cast<const uint16_t*>(data)[index]);
    case KvType::kQ8:
    case KvType::kK6V4:  // never: no page has it
      return static_cast<const int8_t*>(data)[index];
  }
  return 0;
}

// The larger one; the second where either is NaN, as the vector instruction has it.
float Larger(float a, float b) { return a > b ? a : b; }

}  // namespace

void Accumulate(KvType type, int queries, const float* a, size_t a_stride, const void* b, size_t b_stride, int begin,
                int end, int block_begin, int block_end, const float* scales, float* sums, size_t sums_stride) {
  for (int q = 0; q < queries; ++q) {
    for (int c = 8 * block_begin; c < 8 * block_end; ++c) {
      float& all = sums[q * sums_stride + c];
      float sum = scales == nullptr ? all : 0;
      for (int i = begin; i < end; ++i) sum = std::fma(a[q * a_stride + i], LoadKv(type, b, i * b_stride + c), sum);
      all = scales == nullptr ? sum : std::fma(scales[c], sum, all);
    }
  }
}

void FromKv(KvType type, const void* data, int size, float* out) {
  for (int i = 0; i < size; ++i) out[i] = LoadKv(type, data, i);
}

void ScaleWeights(const float* scales, int queries, const float* weights, float* out) {
  constexpr int kRows = kPageRows;
  for (int i = 0; i < queries * kRows; ++i) out[i] = weights[i] * scales[i % kRows];
}

void SoftmaxPage(const float* scores, int begin, int end, SoftmaxState* state, float* weights, float* values,
                 int size) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  float lanes[8];
  for (int l = 0; l < 8; ++l) {
    const auto score = [&](int j) { return j >= begin && j < end ? scores[j] : kHidden; };
    lanes[l] = Larger(Larger(score(l), score(l + 8)), Larger(score(l + 16), score(l + 24)));
  }
  const float page_max = Larger(Larger(Larger(lanes[0], lanes[4]), Larger(lanes[2], lanes[6])),
                                Larger(Larger(lanes[1], lanes[5]), Larger(lanes[3], lanes[7])));
  const float max = Larger(page_max, state->max);
  for (int j = 0; j < static_cast<int>(kPageRows); ++j) {
    weights[j] = j >= begin && j < end ? ExpFloat(scores[j] - max) : 0.0f;
  }
  for (int l = 0; l < 8; ++l) lanes[l] = (weights[l] + weights[l + 8]) + (weights[l + 16] + weights[l + 24]);
  const float page_sum =
      ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
  const float correction = ExpFloat(state->max - max);
  state->sum = std::fma(state->sum, correction, page_sum);
  state->max = max;
  for (int i = 0; i < size; ++i) values[i] *= correction;
}

}  // namespace kedge::scalar
