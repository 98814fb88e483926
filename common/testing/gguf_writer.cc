// The format, written down once more from the writer's side: a mistake that reader and writer share would have to be
// made twice. The block encoders choose scales as GGUF's own tools do (absolute maximum, or minimum and maximum).
//
// Tested by gguf_writer_test.cc.
#include "common/testing/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/kernels/dequantize.h"
#include "common/testing/quant_encoders.h"

namespace kedge {
namespace {

std::string LengthAndText(absl::string_view text) { return absl::StrCat(RawBytes<uint64_t>(text.size()), text); }

template <typename Stored, typename Values>
std::string RawArray(uint32_t element_type, const Values& values) {
  std::string raw = RawBytes(element_type) + RawBytes<uint64_t>(values.size());
  for (auto value : values) raw += RawBytes(static_cast<Stored>(value));
  return raw;
}

void PadTo(std::string& bytes, size_t alignment) {
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
}

constexpr int kBlock = 32;

// Two values per byte: value i in the low nibble of byte i, value i + 16 in its high nibble.
std::string PackNibbles(const int (&quants)[kBlock]) {
  std::string bytes(kBlock / 2, '\0');
  for (int i = 0; i < kBlock / 2; ++i) bytes[i] = static_cast<char>(quants[i] | quants[i + kBlock / 2] << 4);
  return bytes;
}

std::string QuantizeBlockQ8(const float* values) {
  float largest = 0;
  for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(values[i]));
  const float scale = largest / 127;
  std::string bytes = RawBytes(FloatToHalf(scale));
  for (int i = 0; i < kBlock; ++i) {
    bytes += static_cast<char>(scale == 0 ? 0 : static_cast<int>(std::round(values[i] / scale)));
  }
  return bytes;
}

std::string QuantizeBlockQ4_0(const float* values) {
  float largest = 0;  // with its sign: it becomes -8, the end of the range that is one step longer
  for (int i = 0; i < kBlock; ++i) {
    if (std::fabs(values[i]) > std::fabs(largest)) largest = values[i];
  }
  const float scale = largest / -8;
  int quants[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    quants[i] = scale == 0 ? 8 : std::clamp(static_cast<int>(std::round(values[i] / scale)) + 8, 0, 15);
  }
  return RawBytes(FloatToHalf(scale)) + PackNibbles(quants);
}

std::string QuantizeBlockQ4_1(const float* values) {
  const auto [low, high] = std::minmax_element(values, values + kBlock);
  const float scale = (*high - *low) / 15;
  int quants[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    quants[i] = scale == 0 ? 0 : std::clamp(static_cast<int>(std::round((values[i] - *low) / scale)), 0, 15);
  }
  return RawBytes(FloatToHalf(scale)) + RawBytes(FloatToHalf(*low)) + PackNibbles(quants);
}

uint16_t Uint16At(const uint8_t* bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }

}  // namespace

GgufWriter::GgufWriter(uint32_t version, uint32_t alignment) : version_(version), alignment_(alignment) {
  if (alignment != 32) SetUint32("general.alignment", alignment);
}

void GgufWriter::SetUint8(absl::string_view key, uint8_t value) { SetRaw(key, 0, RawBytes(value)); }
void GgufWriter::SetInt8(absl::string_view key, int8_t value) { SetRaw(key, 1, RawBytes(value)); }
void GgufWriter::SetUint16(absl::string_view key, uint16_t value) { SetRaw(key, 2, RawBytes(value)); }
void GgufWriter::SetInt16(absl::string_view key, int16_t value) { SetRaw(key, 3, RawBytes(value)); }
void GgufWriter::SetUint32(absl::string_view key, uint32_t value) { SetRaw(key, 4, RawBytes(value)); }
void GgufWriter::SetInt32(absl::string_view key, int32_t value) { SetRaw(key, 5, RawBytes(value)); }
void GgufWriter::SetFloat32(absl::string_view key, float value) { SetRaw(key, 6, RawBytes(value)); }
void GgufWriter::SetBool(absl::string_view key, bool value) { SetRaw(key, 7, RawBytes<uint8_t>(value)); }
void GgufWriter::SetString(absl::string_view key, absl::string_view value) { SetRaw(key, 8, LengthAndText(value)); }
void GgufWriter::SetUint64(absl::string_view key, uint64_t value) { SetRaw(key, 10, RawBytes(value)); }
void GgufWriter::SetInt64(absl::string_view key, int64_t value) { SetRaw(key, 11, RawBytes(value)); }
void GgufWriter::SetFloat64(absl::string_view key, double value) { SetRaw(key, 12, RawBytes(value)); }

void GgufWriter::SetInt32s(absl::string_view key, const std::vector<int32_t>& values) {
  SetRaw(key, 9, RawArray<int32_t>(5, values));
}
void GgufWriter::SetFloat32s(absl::string_view key, const std::vector<float>& values) {
  SetRaw(key, 9, RawArray<float>(6, values));
}
void GgufWriter::SetBools(absl::string_view key, const std::vector<bool>& values) {
  SetRaw(key, 9, RawArray<uint8_t>(7, values));
}
void GgufWriter::SetStrings(absl::string_view key, const std::vector<std::string>& values) {
  std::string raw = RawBytes<uint32_t>(8) + RawBytes<uint64_t>(values.size());
  for (const std::string& value : values) raw += LengthAndText(value);
  SetRaw(key, 9, raw);
}

void GgufWriter::SetRaw(absl::string_view key, uint32_t type, absl::string_view value) {
  absl::StrAppend(&metadata_, LengthAndText(key), RawBytes(type), value);
  ++num_keys_;
}

void GgufWriter::AddTensor(absl::string_view name, TensorType type, const std::vector<uint64_t>& shape,
                           absl::string_view data) {
  AddTensorPlace(name, type, shape, data.size());
  absl::StrAppend(&data_, data);
  PadTo(data_, alignment_);
}

uint64_t GgufWriter::AddTensorPlace(absl::string_view name, TensorType type, const std::vector<uint64_t>& shape,
                                    uint64_t size) {
  const uint64_t begin = data_end_;
  tensors_.push_back({std::string(name), type, shape, begin});
  data_end_ = (begin + size + alignment_ - 1) / alignment_ * alignment_;
  return begin;
}

std::string GgufWriter::Header() const {
  std::string header = absl::StrCat("GGUF", RawBytes(version_), RawBytes<uint64_t>(tensors_.size()),
                                    RawBytes(num_keys_), metadata_);
  for (const Tensor& tensor : tensors_) {
    absl::StrAppend(&header, LengthAndText(tensor.name), RawBytes<uint32_t>(tensor.shape.size()));
    for (uint64_t size : tensor.shape) header += RawBytes(size);
    absl::StrAppend(&header, RawBytes(static_cast<uint32_t>(tensor.type)), RawBytes(tensor.begin));
  }
  PadTo(header, alignment_);
  return header;
}

std::string GgufWriter::Finish() const {
  KEDGE_CHECK(data_.size() == data_end_);
  return Header() + data_;
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);   // not a number
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to 2^16 or more: infinity
  if (magnitude < 0x38800000) {
    // Below 2^-14 halves are multiples of 2^-24. Scaling by 2^24 is exact, and nearbyint rounds to nearest even.
    const float steps = std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f);
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(steps));
  }
  // Drop 13 bits of the fraction, rounding to nearest even; a carry moves into the exponent as it should.
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

float HalfToFloat(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}

uint16_t FloatToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);  // stays not a number
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

std::string Quantize(TensorType type, absl::Span<const float> values) {
  const size_t block_size = static_cast<size_t>(BlockSize(type));
  KEDGE_CHECK(values.size() % block_size == 0);
  std::string bytes;
  bytes.reserve(values.size() / block_size * BlockBytes(type));
  for (size_t i = 0; i < values.size(); i += block_size) {
    switch (type) {
      case TensorType::kF32: bytes += RawBytes(values[i]); break;
      case TensorType::kF16: bytes += RawBytes(FloatToHalf(values[i])); break;
      case TensorType::kBF16: bytes += RawBytes(FloatToBfloat16(values[i])); break;
      case TensorType::kQ8_0: bytes += QuantizeBlockQ8(&values[i]); break;
      case TensorType::kQ4_0: bytes += QuantizeBlockQ4_0(&values[i]); break;
      case TensorType::kQ4_1: bytes += QuantizeBlockQ4_1(&values[i]); break;
      default:
        bytes += EncodeBlock(type, &values[i]);
    }
  }
  return bytes;
}

std::vector<float> Dequantize(TensorType type, absl::Span<const uint8_t> bytes, size_t count) {
  const size_t block_size = static_cast<size_t>(BlockSize(type));
  KEDGE_CHECK(count % block_size == 0 && bytes.size() == count / block_size * BlockBytes(type));
  std::vector<float> values(count);
  const uint8_t* block = bytes.data();
  for (size_t first = 0; first < count; first += block_size, block += BlockBytes(type)) {
    float* out = &values[first];
    switch (type) {
      case TensorType::kF32: std::memcpy(out, block, sizeof(float)); break;
      case TensorType::kF16: *out = HalfToFloat(Uint16At(block)); break;
      case TensorType::kBF16: *out = std::bit_cast<float>(static_cast<uint32_t>(Uint16At(block)) << 16); break;
      case TensorType::kQ8_0:
        for (int i = 0; i < kBlock; ++i) out[i] = HalfToFloat(Uint16At(block)) * static_cast<int8_t>(block[2 + i]);
        break;
      case TensorType::kQ4_0:
        for (int i = 0; i < kBlock; ++i) {
          const int quant = block[2 + i % 16] >> (i < 16 ? 0 : 4) & 15;
          out[i] = HalfToFloat(Uint16At(block)) * static_cast<float>(quant - 8);
        }
        break;
      case TensorType::kQ4_1:
        for (int i = 0; i < kBlock; ++i) {
          const int quant = block[4 + i % 16] >> (i < 16 ? 0 : 4) & 15;
          out[i] = HalfToFloat(Uint16At(block)) * static_cast<float>(quant) + HalfToFloat(Uint16At(block + 2));
        }
        break;
      default:  // held against another reader's values by dequantize_test.cc
        DequantizeWeights(type, absl::MakeConstSpan(block, BlockBytes(type)), absl::MakeSpan(out, block_size));
    }
  }
  return values;
}

std::vector<float> Dequantize(TensorType type, absl::string_view bytes, size_t count) {
  return Dequantize(type, absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), count);
}

}  // namespace kedge
