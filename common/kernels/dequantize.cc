// One loop per block layout of tensor_type.h. Each value rounds once (fma), so its bits are defined by the layout
// alone. Bytes are read by memcpy: tensors in a file need not be aligned. Tested by dequantize_test.cc.
#include "common/kernels/dequantize.h"

#include <cmath>
#include <cstring>

#include "common/base/check.h"
#include "common/kernels/block_32.h"
#include "common/kernels/number_format.h"

namespace kedge {
namespace {

uint16_t LoadU16(const uint8_t* data) {
  uint16_t value;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

}  // namespace

size_t TensorBytes(TensorType type, size_t count) { return count / BlockSize(type) * BlockBytes(type); }

void DequantizeWeights(TensorType type, absl::Span<const uint8_t> data, absl::Span<float> out) {
  KEDGE_CHECK(out.size() % BlockSize(type) == 0);
  KEDGE_CHECK(data.size() >= TensorBytes(type, out.size()));
  const size_t blocks = out.size() / BlockSize(type);
  const uint8_t* block = data.data();
  float* values = out.data();
  for (size_t b = 0; b < blocks; ++b, block += BlockBytes(type), values += BlockSize(type)) {
    switch (type) {
      case TensorType::kF32:
        std::memcpy(values, block, sizeof(float));
        break;
      case TensorType::kF16:
        *values = FromHalf(LoadU16(block));
        break;
      case TensorType::kBF16:
        *values = FromBFloat16(LoadU16(block));
        break;
      case TensorType::kQ4_0: {
        const float d = FromHalf(LoadU16(block));
        for (int i = 0; i < 16; ++i) {
          values[i] = d * static_cast<float>((block[2 + i] & 15) - 8);
          values[i + 16] = d * static_cast<float>((block[2 + i] >> 4) - 8);
        }
        break;
      }
      case TensorType::kQ4_1: {
        const float d = FromHalf(LoadU16(block));
        const float m = FromHalf(LoadU16(block + 2));
        for (int i = 0; i < 16; ++i) {
          values[i] = std::fma(d, static_cast<float>(block[4 + i] & 15), m);
          values[i + 16] = std::fma(d, static_cast<float>(block[4 + i] >> 4), m);
        }
        break;
      }
      case TensorType::kQ8_0: {
        const float d = FromHalf(LoadU16(block));
        for (int i = 0; i < 32; ++i) values[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
        break;
      }
      case TensorType::kQ5_0:
      case TensorType::kQ5_1:
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
      case TensorType::kQ6_K:
        for (int part = 0; part < BlockSize(type) / 32; ++part) {
          const Block32 small = ReadBlock32(type, block, part);
          for (int i = 0; i < 32; ++i) {
            values[32 * part + i] = std::fma(small.scale[i / 16], static_cast<float>(small.quants[i]), small.minimum);
          }
        }
        break;
    }
  }
}

}  // namespace kedge
