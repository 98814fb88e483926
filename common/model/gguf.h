// Reads GGUF files (versions 2 and 3): metadata, the tensor table, and the tensors' bytes by memory map.
//
// The file is not trusted: every length and offset is checked against the file's size before it is used, and an
// error names the file and the key or tensor. Nothing is copied but metadata; tensor bytes are views of the map.
#ifndef KEDGE_COMMON_MODEL_GGUF_H_
#define KEDGE_COMMON_MODEL_GGUF_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/file_mark.h"
#include "common/kernels/tensor_type.h"  // TensorType and its functions: implemented in tensor_type.cc, not here

namespace kedge {

// One tensor. `shape` is in GGUF's order: shape[0] is the contiguous dimension (columns), shape[1] rows.
// `data` is a view of the memory map (of the part that has it), valid as long as the GgufFile lives.
struct GgufTensor {
  std::string name;
  TensorType type;
  std::vector<uint64_t> shape;
  absl::Span<const uint8_t> data;  // empty when the type is not supported
};

// Metadata values. All integer types become int64_t or uint64_t, both float types double; arrays are homogeneous.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<bool>, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

// Which file a GgufFile maps, as seen when it was opened.
struct FileOrigin {
  std::string real_path;
  FileIdentity identity;
};

// Owns the memory map (after Open) or borrows the bytes (after Parse). Thread-safe (immutable).
class GgufFile {
 public:
  // Maps `path` and parses its header. kNotFound, kInvalidArgument (damaged, truncated, not GGUF) with the reason.
  // Tensor data are checked to lie inside the file. Of a model split into several files (NAME-00001-of-0000N.gguf, as
  // llama.cpp writes them) `path` is the first, and those beside it are opened too; kInvalidArgument: it is another
  // part, or a part is of another model; kNotFound names one that is missing.
  static absl::StatusOr<std::shared_ptr<const GgufFile>> Open(const std::string& path);
  // One file over bytes in memory (fuzzing, tests). `bytes` must outlive the result.
  static absl::StatusOr<std::shared_ptr<const GgufFile>> Parse(absl::Span<const uint8_t> bytes, absl::string_view name);

  ~GgufFile();
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  const std::string& name() const { return name_; }
  // Unset when the bytes come from memory (Parse).
  const std::optional<FileOrigin>& origin() const { return origin_; }
  // Bytes of the whole file; of a split model, of its first part.
  absl::Span<const uint8_t> bytes() const { return bytes_; }
  // Of a split model, in order; empty for others. tensors() has theirs too, metadata() is the first's alone.
  const std::vector<std::shared_ptr<const GgufFile>>& further_parts() const { return further_parts_; }
  // Of all parts.
  uint64_t total_bytes() const;
  uint32_t version() const { return version_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  // nullptr when there is none.
  const GgufTensor* FindTensor(absl::string_view name) const;

  // Typed look-ups. kNotFound names the missing key; kInvalidArgument the key of another type than asked for.
  // GetInt accepts signed and unsigned, GetFloat accepts integers too.
  absl::StatusOr<int64_t> GetInt(absl::string_view key) const;
  absl::StatusOr<double> GetFloat(absl::string_view key) const;
  absl::StatusOr<bool> GetBool(absl::string_view key) const;
  absl::StatusOr<std::string> GetString(absl::string_view key) const;
  // Pointers live as long as the file.
  absl::StatusOr<const std::vector<std::string>*> GetStrings(absl::string_view key) const;
  absl::StatusOr<const std::vector<int64_t>*> GetInts(absl::string_view key) const;
  absl::StatusOr<const std::vector<double>*> GetFloats(absl::string_view key) const;
  bool Has(absl::string_view key) const;

 private:
  GgufFile() = default;
  static absl::StatusOr<std::shared_ptr<GgufFile>> Map(const std::string& path);
  absl::Status ParseHeader();
  absl::Status JoinParts();
  absl::Status AddPart(std::shared_ptr<const GgufFile> part, int64_t number, int64_t count);
  absl::StatusOr<const GgufValue*> GetValue(absl::string_view key) const;
  absl::Status WrongKind(absl::string_view key, const GgufValue& value, absl::string_view wanted) const;

  std::string name_;
  std::optional<FileOrigin> origin_;
  absl::Span<const uint8_t> bytes_;
  void* map_ = nullptr;  // munmap'ed by the destructor when not null
  uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
  std::vector<std::shared_ptr<const GgufFile>> further_parts_;
};

// What readers of a file say of one key or tensor that they do not take: "FILE: key 'KEY': WHAT", kInvalidArgument.
absl::Status KeyError(const GgufFile& file, absl::string_view key, absl::string_view what);
absl::Status TensorError(const GgufFile& file, absl::string_view tensor, absl::string_view what);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_GGUF_H_
