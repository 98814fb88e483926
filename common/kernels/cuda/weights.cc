// Tested by weights_test.cc, and what a device makes of the bytes by embed_test.cc and products_test.cc.
#include "common/kernels/cuda/weights.h"

#include <algorithm>
#include <cstring>

#include "common/base/check.h"
#include "common/kernels/block_32.h"

namespace kedge::cuda {

WeightForm FormOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return WeightForm::kF32;
    case TensorType::kF16:
      return WeightForm::kF16;
    case TensorType::kBF16:
      return WeightForm::kBF16;
    case TensorType::kQ8_0:
      return WeightForm::kBytes;
    case TensorType::kQ4_0:
      return WeightForm::kNibbles;
    case TensorType::kQ4_1:
      return WeightForm::kNibblesMinimum;
    case TensorType::kQ4_K:
      return WeightForm::kNibblesPacked;
    case TensorType::kQ5_0:
    case TensorType::kQ5_1:
    case TensorType::kQ5_K:
      return WeightForm::kBytesFloat;
    case TensorType::kQ6_K:
      return WeightForm::kBytesTwoScales;
  }
  KEDGE_CHECK(false);
}

namespace {

// An output's scales of a chunk, at `out`: number `index` of those of T.
template <typename T>
void Put(uint8_t* out, int index, T value) {
  std::memcpy(out + index * sizeof(T), &value, sizeof(T));
}
uint16_t HalfAt(const uint8_t* data) {
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return bits;
}

// Block `index` of the row at `row`: its quants, and its scales into the place of block b of a chunk.
void ReadBlock(TensorType type, const uint8_t* row, int index, int b, uint8_t (&quants)[32], uint8_t* scales) {
  const uint8_t* block = row + size_t(index) / (BlockSize(type) / 32) * BlockBytes(type);
  switch (type) {
    case TensorType::kQ8_0:
      std::memcpy(quants, block + 2, 32);
      return Put(scales, b, HalfAt(block));
    case TensorType::kQ4_0:
    case TensorType::kQ4_1: {
      const bool has_minimum = type == TensorType::kQ4_1;
      const uint8_t* nibbles = block + (has_minimum ? 4 : 2);
      for (int i = 0; i < 16; ++i) {
        quants[i] = nibbles[i] & 15;
        quants[i + 16] = nibbles[i] >> 4;
      }
      if (has_minimum) Put(scales, kChunkBlocks + b, HalfAt(block + 2));
      return Put(scales, b, HalfAt(block));
    }
    default: {
      const Block32 weights = ReadBlock32(type, row, index);
      std::memcpy(quants, weights.quants, 32);
      if (type == TensorType::kQ4_K) {
        const SixBits six = ReadSixBits(block + 4, index % 8);
        scales[b] = static_cast<uint8_t>(six.scale);
        scales[kChunkBlocks + b] = static_cast<uint8_t>(six.minimum);
        std::memcpy(scales + 2 * kChunkBlocks, block, 4);  // the factors of the whole chunk
        return;
      }
      Put(scales, b, weights.scale[0]);
      Put(scales, kChunkBlocks + b, type == TensorType::kQ6_K ? weights.scale[1] : weights.minimum);
    }
  }
}

// The row of output `output` of the group at `group`.
void PackQuantized(TensorType type, const uint8_t* row, int inputs, int output, uint8_t* group) {
  const WeightForm form = FormOf(type);
  for (int block = 0; block < inputs / 32; ++block) {
    const int b = block % kChunkBlocks;
    uint8_t* half = group + size_t(block / kChunkBlocks) * ChunkBytes(form) + output / 8 * HalfBytes(form);
    uint8_t quants[32];
    ReadBlock(type, row, block, b, quants, half + QuantsBytes(form) + output % 8 * ScalesBytes(form));
    for (int i = 0; i < 32; i += 16) {
      if (!IsNibbles(form)) {
        std::memcpy(half + CoreByte(output % 8, 32 * b + i), quants + i, 16);
        continue;
      }
      uint8_t* to = half + CoreByte(output % 8, b % 2 * 32 + i);
      for (int k = 0; k < 16; ++k) to[k] |= static_cast<uint8_t>(quants[i + k] << b / 2 * 4);
    }
  }
}

void PackFloats(WeightForm form, const uint8_t* row, int inputs, int output, uint8_t* group) {
  const size_t bytes = size_t(inputs) * FloatBytes(form);
  for (size_t at = 0; at < bytes; at += kUnitBytes) {
    std::memcpy(group + at * kFloatOutputs + output * kUnitBytes, row + at, std::min<size_t>(kUnitBytes, bytes - at));
  }
}

}  // namespace

void PackGroups(TensorType type, int outputs, int inputs, absl::Span<const uint8_t> data, int first, int count,
                uint8_t* out) {
  const WeightForm form = FormOf(type);
  KEDGE_CHECK(inputs % BlockSize(type) == 0);
  const size_t row_bytes = size_t(inputs) / BlockSize(type) * BlockBytes(type);
  KEDGE_CHECK(data.size() >= row_bytes * outputs);
  for (int group = first; group < first + count; ++group, out += GroupBytes(form, inputs)) {
    std::memset(out, 0, GroupBytes(form, inputs));
    for (int i = 0; i < GroupOutputs(form) && group * GroupOutputs(form) + i < outputs; ++i) {
      const uint8_t* row = data.data() + row_bytes * (group * GroupOutputs(form) + i);
      if (IsQuantized(form)) {
        PackQuantized(type, row, inputs, i, out);
      } else {
        PackFloats(form, row, inputs, i, out);
      }
    }
  }
}

}  // namespace kedge::cuda
