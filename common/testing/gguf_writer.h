// Makes GGUF files in memory for tests, and encodes floats into GGUF's element types.
//
// Nothing here is shared with the code under test: Dequantize is an oracle.
#ifndef KEDGE_COMMON_TESTING_GGUF_WRITER_H_
#define KEDGE_COMMON_TESTING_GGUF_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/kernels/tensor_type.h"

namespace kedge {

// Builds one file: setters and AddTensor in any order, then Finish. It checks nothing, so that tests can make damaged
// files (a key twice, data of the wrong size). Owned by one thread.
class GgufWriter {
 public:
  // `alignment` other than 32 is also written as key general.alignment.
  explicit GgufWriter(uint32_t version = 3, uint32_t alignment = 32);

  void SetUint8(absl::string_view key, uint8_t value);
  void SetInt8(absl::string_view key, int8_t value);
  void SetUint16(absl::string_view key, uint16_t value);
  void SetInt16(absl::string_view key, int16_t value);
  void SetUint32(absl::string_view key, uint32_t value);
  void SetInt32(absl::string_view key, int32_t value);
  void SetUint64(absl::string_view key, uint64_t value);
  void SetInt64(absl::string_view key, int64_t value);
  void SetFloat32(absl::string_view key, float value);
  void SetFloat64(absl::string_view key, double value);
  void SetBool(absl::string_view key, bool value);
  void SetString(absl::string_view key, absl::string_view value);

  void SetInt32s(absl::string_view key, const std::vector<int32_t>& values);
  void SetFloat32s(absl::string_view key, const std::vector<float>& values);
  void SetBools(absl::string_view key, const std::vector<bool>& values);
  void SetStrings(absl::string_view key, const std::vector<std::string>& values);

  // A value of any type: `value` are the bytes that follow the type's number in the file.
  void SetRaw(absl::string_view key, uint32_t type, absl::string_view value);

  // `shape[0]` is the contiguous dimension. `type` may be one that Kedge does not read.
  void AddTensor(absl::string_view name, TensorType type, const std::vector<uint64_t>& shape, absl::string_view data);

  // The same where the caller puts `size` bytes of data behind Header() himself, as for a model of gigabytes. Returns
  // where they begin, counted from the end of the header.
  uint64_t AddTensorPlace(absl::string_view name, TensorType type, const std::vector<uint64_t>& shape, uint64_t size);

  // What stands before the tensors' data.
  std::string Header() const;
  // The file's bytes. REQUIRES: no AddTensorPlace.
  std::string Finish() const;

 private:
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<uint64_t> shape;
    uint64_t begin;  // of its data
  };

  uint32_t version_;
  uint32_t alignment_;
  uint64_t num_keys_ = 0;
  std::string metadata_;
  std::vector<Tensor> tensors_;
  std::string data_;       // of AddTensor
  uint64_t data_end_ = 0;  // of all tensors
};

// `value` as it lies in memory (little-endian), for SetRaw and for patching files.
template <typename T>
std::string RawBytes(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

// IEEE half and bfloat16, rounded to nearest even.
uint16_t FloatToHalf(float value);
float HalfToFloat(uint16_t bits);
uint16_t FloatToBfloat16(float value);

// Encodes whole rows in the standard block layouts (tensor_type.h).
// REQUIRES: IsSupported(type); values.size() is a multiple of BlockSize(type).
std::string Quantize(TensorType type, absl::Span<const float> values);

// Decodes `count` values. REQUIRES: `bytes` holds exactly that many.
std::vector<float> Dequantize(TensorType type, absl::Span<const uint8_t> bytes, size_t count);
std::vector<float> Dequantize(TensorType type, absl::string_view bytes, size_t count);

}  // namespace kedge

#endif  // KEDGE_COMMON_TESTING_GGUF_WRITER_H_
