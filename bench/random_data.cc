// Tested by random_data_test.cc.
#include "bench/random_data.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "common/base/check.h"

namespace kedge {
namespace {

constexpr uint16_t kHalfScale = 0x1800;  // 2^-9 as f16

// As f16 from 0.125 to 0.5; as bf16 tiny, and normal.
uint16_t RandomHalf(std::mt19937& random) { return static_cast<uint16_t>(0x3000 + (random() & 0x7ff)); }

}  // namespace

std::vector<float> RandomFloats(size_t count) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

std::vector<uint8_t> RandomHalves(size_t count) {
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(2 * count);
  for (size_t i = 0; i < bytes.size(); i += 2) {
    const uint16_t half = RandomHalf(random);
    std::memcpy(&bytes[i], &half, sizeof(half));
  }
  return bytes;
}

std::vector<uint8_t> RandomWeights(TensorType type, size_t count) {
  if (type == TensorType::kF16 || type == TensorType::kBF16) return RandomHalves(count);
  if (type == TensorType::kF32) {
    const std::vector<float> values = RandomFloats(count);
    std::vector<uint8_t> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  KEDGE_CHECK(BlockSize(type) > 1);
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(count / BlockSize(type) * BlockBytes(type));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  // The scales, and the minima of types that have them, stand first in a block.
  const int halves = type == TensorType::kQ4_1 ? 2 : 1;
  for (size_t block = 0; block < bytes.size(); block += BlockBytes(type)) {
    for (int i = 0; i < halves; ++i) std::memcpy(&bytes[block + 2 * i], &kHalfScale, sizeof(kHalfScale));
  }
  return bytes;
}

}  // namespace kedge
