// A GGUF file is: magic, version, two counts, metadata (key, type, value), the tensor table (name, shape, type,
// offset), padding, tensor data. All of it is little-endian and read by one Cursor, which never moves past the end.
// A count is compared with the bytes that are left before anything is allocated for it, so a damaged file costs at
// most a small multiple of its own size.
//
// Errors are made where the damage is found, without context; the callers put file and key or tensor in front.
//
// Tested by gguf_test.cc and gguf_fuzzer.cc.
#include "common/model/gguf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/model/file_kind.h"

namespace kedge {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF values are copied from the file as they are");

constexpr absl::string_view kMagic = "GGUF";
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxDimensions = 4;
// Longest key or tensor name (the format's own limit for keys).
constexpr uint64_t kMaxNameLength = 65535;
// Most elements of one metadata array. Vocabularies have under a million; the limit bounds the memory that the 8-byte
// elements of an int8 array can take in a file of many gigabytes.
constexpr uint64_t kMaxArrayElements = uint64_t{1} << 24;

// The numbers that GGUF gives to metadata value types.
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

absl::Status Damaged(absl::string_view what) { return absl::InvalidArgumentError(what); }

// A name from the file, fit for a message: escaped and not too long.
std::string Quoted(absl::string_view name) {
  constexpr size_t kShown = 100;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kShown)), name.size() > kShown ? "..." : "", "'");
}

// Reads forward through bytes that are not trusted.
class Cursor {
 public:
  explicit Cursor(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  // Fails, and says where, unless `count` values of at least `size` bytes each can follow. No product overflows.
  absl::Status Need(uint64_t count, uint64_t size, absl::string_view what) const {
    if (count <= remaining() / size) return absl::OkStatus();
    return Damaged(absl::StrCat("truncated or damaged: ", what, " at byte ", position_, " needs ", count, " x ", size,
                                " bytes, ", remaining(), " are left"));
  }

  template <typename T>
  absl::StatusOr<T> Read(absl::string_view what) {
    KEDGE_RETURN_IF_ERROR(Need(1, sizeof(T), what));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  absl::StatusOr<std::string> ReadString(absl::string_view what) {
    KEDGE_ASSIGN_OR_RETURN(uint64_t length, Read<uint64_t>(what));
    KEDGE_RETURN_IF_ERROR(Need(length, 1, what));
    std::string value(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    return value;
  }

  absl::StatusOr<std::string> ReadName(absl::string_view what) {
    KEDGE_ASSIGN_OR_RETURN(std::string name, ReadString(what));
    if (name.empty()) return Damaged(absl::StrCat(what, " is empty"));
    if (name.size() > kMaxNameLength) {
      return Damaged(absl::StrCat(what, " has ", name.size(), " bytes, at most ", kMaxNameLength, " are allowed"));
    }
    return name;
  }

 private:
  absl::Span<const uint8_t> bytes_;
  uint64_t position_ = 0;
};

absl::StatusOr<bool> ReadBool(Cursor& cursor) {
  KEDGE_ASSIGN_OR_RETURN(uint8_t value, cursor.Read<uint8_t>("a boolean"));
  if (value > 1) return Damaged(absl::StrCat("a boolean must be 0 or 1, found ", value));
  return value == 1;
}

// Reads one number as it is stored and widens it to uint64_t, int64_t or double.
template <typename Stored>
absl::StatusOr<GgufValue> ReadNumber(Cursor& cursor) {
  KEDGE_ASSIGN_OR_RETURN(Stored value, cursor.Read<Stored>("a number"));
  if constexpr (std::is_floating_point_v<Stored>) {
    return GgufValue(static_cast<double>(value));
  } else if constexpr (std::is_signed_v<Stored>) {
    return GgufValue(static_cast<int64_t>(value));
  } else {
    return GgufValue(static_cast<uint64_t>(value));
  }
}

// Reads `count` numbers; integers of either sign become int64_t.
template <typename Stored>
absl::StatusOr<GgufValue> ReadNumbers(Cursor& cursor, uint64_t count) {
  using Value = std::conditional_t<std::is_floating_point_v<Stored>, double, int64_t>;
  KEDGE_RETURN_IF_ERROR(cursor.Need(count, sizeof(Stored), "an array"));
  std::vector<Value> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    KEDGE_ASSIGN_OR_RETURN(Stored value, cursor.Read<Stored>("an array"));
    if constexpr (std::is_same_v<Stored, uint64_t>) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Damaged(absl::StrCat("array element ", i, " is ", value, ", larger than any supported integer"));
      }
    }
    values.push_back(static_cast<Value>(value));
  }
  return GgufValue(std::move(values));
}

absl::StatusOr<GgufValue> ReadArray(Cursor& cursor) {
  KEDGE_ASSIGN_OR_RETURN(uint32_t element_type, cursor.Read<uint32_t>("an array's type"));
  KEDGE_ASSIGN_OR_RETURN(uint64_t count, cursor.Read<uint64_t>("an array's length"));
  if (count > kMaxArrayElements) {
    return Damaged(absl::StrCat("an array has ", count, " elements, at most ", kMaxArrayElements, " are supported"));
  }
  switch (static_cast<ValueType>(element_type)) {
    case ValueType::kUint8: return ReadNumbers<uint8_t>(cursor, count);
    case ValueType::kInt8: return ReadNumbers<int8_t>(cursor, count);
    case ValueType::kUint16: return ReadNumbers<uint16_t>(cursor, count);
    case ValueType::kInt16: return ReadNumbers<int16_t>(cursor, count);
    case ValueType::kUint32: return ReadNumbers<uint32_t>(cursor, count);
    case ValueType::kInt32: return ReadNumbers<int32_t>(cursor, count);
    case ValueType::kUint64: return ReadNumbers<uint64_t>(cursor, count);
    case ValueType::kInt64: return ReadNumbers<int64_t>(cursor, count);
    case ValueType::kFloat32: return ReadNumbers<float>(cursor, count);
    case ValueType::kFloat64: return ReadNumbers<double>(cursor, count);
    case ValueType::kBool: {
      KEDGE_RETURN_IF_ERROR(cursor.Need(count, 1, "an array"));
      std::vector<bool> values;
      values.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        KEDGE_ASSIGN_OR_RETURN(bool value, ReadBool(cursor));
        values.push_back(value);
      }
      return GgufValue(std::move(values));
    }
    case ValueType::kString: {
      KEDGE_RETURN_IF_ERROR(cursor.Need(count, sizeof(uint64_t), "an array of strings"));
      std::vector<std::string> values;
      values.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        KEDGE_ASSIGN_OR_RETURN(std::string value, cursor.ReadString("a string of an array"));
        values.push_back(std::move(value));
      }
      return GgufValue(std::move(values));
    }
    case ValueType::kArray: return Damaged("arrays of arrays are not supported");
  }
  return Damaged(absl::StrCat("unknown array element type ", element_type));
}

absl::StatusOr<GgufValue> ReadValue(Cursor& cursor) {
  KEDGE_ASSIGN_OR_RETURN(uint32_t type, cursor.Read<uint32_t>("a value's type"));
  switch (static_cast<ValueType>(type)) {
    case ValueType::kUint8: return ReadNumber<uint8_t>(cursor);
    case ValueType::kInt8: return ReadNumber<int8_t>(cursor);
    case ValueType::kUint16: return ReadNumber<uint16_t>(cursor);
    case ValueType::kInt16: return ReadNumber<int16_t>(cursor);
    case ValueType::kUint32: return ReadNumber<uint32_t>(cursor);
    case ValueType::kInt32: return ReadNumber<int32_t>(cursor);
    case ValueType::kUint64: return ReadNumber<uint64_t>(cursor);
    case ValueType::kInt64: return ReadNumber<int64_t>(cursor);
    case ValueType::kFloat32: return ReadNumber<float>(cursor);
    case ValueType::kFloat64: return ReadNumber<double>(cursor);
    case ValueType::kBool: {
      KEDGE_ASSIGN_OR_RETURN(bool value, ReadBool(cursor));
      return GgufValue(value);
    }
    case ValueType::kString: {
      KEDGE_ASSIGN_OR_RETURN(std::string value, cursor.ReadString("a string"));
      return GgufValue(std::move(value));
    }
    case ValueType::kArray: return ReadArray(cursor);
  }
  return Damaged(absl::StrCat("unknown value type ", type));
}

// One row of the tensor table. `offset` counts from the start of the tensor data, which is not known yet.
struct TableRow {
  GgufTensor tensor;
  uint64_t offset = 0;
  uint64_t num_bytes = 0;  // 0 when the type is not supported
};

// Returns the number of bytes that a tensor of a supported type takes.
absl::StatusOr<uint64_t> TensorBytes(const GgufTensor& tensor) {
  const uint64_t block_size = static_cast<uint64_t>(BlockSize(tensor.type));
  if (tensor.shape[0] % block_size != 0) {
    return Damaged(absl::StrCat("a row of ", tensor.shape[0], " values is no multiple of the ", block_size,
                                " values in a block of ", TensorTypeName(tensor.type)));
  }
  uint64_t num_bytes = static_cast<uint64_t>(BlockBytes(tensor.type));
  bool fits = !__builtin_mul_overflow(num_bytes, tensor.shape[0] / block_size, &num_bytes);
  for (size_t d = 1; d < tensor.shape.size(); ++d) {
    fits = fits && !__builtin_mul_overflow(num_bytes, tensor.shape[d], &num_bytes);
  }
  if (!fits) return Damaged("the product of the dimensions overflows");
  return num_bytes;
}

// Reads what follows the tensor's name.
absl::Status ReadTableRow(Cursor& cursor, TableRow& row) {
  KEDGE_ASSIGN_OR_RETURN(uint32_t num_dimensions, cursor.Read<uint32_t>("the number of dimensions"));
  if (num_dimensions < 1 || num_dimensions > kMaxDimensions) {
    return Damaged(absl::StrCat(num_dimensions, " dimensions, must be 1 to ", kMaxDimensions));
  }
  for (uint32_t d = 0; d < num_dimensions; ++d) {
    KEDGE_ASSIGN_OR_RETURN(uint64_t size, cursor.Read<uint64_t>("a dimension"));
    if (size == 0) return Damaged(absl::StrCat("dimension ", d, " is 0"));
    row.tensor.shape.push_back(size);
  }
  KEDGE_ASSIGN_OR_RETURN(uint32_t type, cursor.Read<uint32_t>("the type"));
  row.tensor.type = static_cast<TensorType>(type);
  KEDGE_ASSIGN_OR_RETURN(row.offset, cursor.Read<uint64_t>("the offset"));
  if (IsSupported(row.tensor.type)) {
    KEDGE_ASSIGN_OR_RETURN(row.num_bytes, TensorBytes(row.tensor));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Alignment(const GgufFile& file) {
  if (!file.Has("general.alignment")) return kDefaultAlignment;
  KEDGE_ASSIGN_OR_RETURN(int64_t alignment, file.GetInt("general.alignment"));
  // Multiples of 8 (the format demands it), so that every tensor's elements are aligned in memory too.
  constexpr int64_t kLargest = int64_t{1} << 30;
  if (alignment < 8 || alignment > kLargest || (alignment & (alignment - 1)) != 0) {
    return Damaged(absl::StrCat(file.name(), ": key 'general.alignment': must be a power of two from 8 to ", kLargest,
                                ", found ", alignment));
  }
  return static_cast<uint64_t>(alignment);
}

// Names a value's kind in "found a ...".
const char* KindOf(const GgufValue& value) {
  constexpr const char* kKinds[] = {"boolean", "signed integer", "unsigned integer", "float", "string",
                                    "array of booleans", "array of integers", "array of floats", "array of strings"};
  static_assert(sizeof(kKinds) / sizeof(kKinds[0]) == std::variant_size_v<GgufValue>);
  return kKinds[value.index()];
}

// `real_path` stays as given when it can not be resolved.
std::string RealPath(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;
  std::string result = resolved;
  ::free(resolved);
  return result;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const GgufFile>> GgufFile::Open(const std::string& path) {
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<GgufFile> file, Map(path));
  KEDGE_RETURN_IF_ERROR(file->JoinParts());
  return file;
}

absl::StatusOr<std::shared_ptr<GgufFile>> GgufFile::Map(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // do not wait at a pipe
  if (descriptor < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  absl::Cleanup close_descriptor = [descriptor] { ::close(descriptor); };  // the map outlives the descriptor

  struct stat info;
  if (::fstat(descriptor, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat ", path));
  if (S_ISDIR(info.st_mode)) return Damaged(absl::StrCat(path, ": not a GGUF file: ", DescribeFolder(path)));
  if (!S_ISREG(info.st_mode)) return Damaged(absl::StrCat(path, ": not a regular file"));
  if (info.st_size == 0) return Damaged(absl::StrCat(path, ": not a GGUF file: empty"));

  std::shared_ptr<GgufFile> file(new GgufFile());
  const size_t size = static_cast<size_t>(info.st_size);
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (map == MAP_FAILED) return absl::ErrnoToStatus(errno, absl::StrCat("cannot map ", path));
  file->map_ = map;
  file->bytes_ = absl::MakeConstSpan(static_cast<const uint8_t*>(map), size);
  file->name_ = path;
  file->origin_ = FileOrigin{RealPath(path), IdentityOf(info)};
  KEDGE_RETURN_IF_ERROR(file->ParseHeader());
  return file;
}

absl::StatusOr<std::shared_ptr<const GgufFile>> GgufFile::Parse(absl::Span<const uint8_t> bytes,
                                                                absl::string_view name) {
  std::shared_ptr<GgufFile> file(new GgufFile());
  file->bytes_ = bytes;
  file->name_ = std::string(name);
  KEDGE_RETURN_IF_ERROR(file->ParseHeader());
  return file;
}

GgufFile::~GgufFile() {
  if (map_ != nullptr) ::munmap(map_, bytes_.size());
}

absl::Status GgufFile::ParseHeader() {
  constexpr size_t kDescribed = size_t{64} << 10;
  const absl::string_view beginning(reinterpret_cast<const char*>(bytes_.data()), std::min(bytes_.size(), kDescribed));
  if (!absl::StartsWith(beginning, kMagic)) {
    return Damaged(absl::StrCat(name_, ": not a GGUF file: ", DescribeOtherFile(name_, beginning)));
  }
  Cursor cursor(bytes_);
  uint64_t num_tensors = 0;
  uint64_t num_keys = 0;
  auto read_counts = [&]() -> absl::Status {
    KEDGE_ASSIGN_OR_RETURN(uint32_t magic, cursor.Read<uint32_t>("the magic"));
    (void)magic;
    KEDGE_ASSIGN_OR_RETURN(version_, cursor.Read<uint32_t>("the version"));
    if (version_ != 2 && version_ != 3) {
      const bool swapped = version_ == 0x02000000 || version_ == 0x03000000;
      return Damaged(absl::StrCat("GGUF version ", version_, swapped ? " (a big-endian file)" : "",
                                  " is not supported; supported: 2 and 3, little-endian"));
    }
    KEDGE_ASSIGN_OR_RETURN(num_tensors, cursor.Read<uint64_t>("the number of tensors"));
    KEDGE_ASSIGN_OR_RETURN(num_keys, cursor.Read<uint64_t>("the number of keys"));
    // The smallest key is 8 + 1 + 4 + 1 bytes, the smallest table row 8 + 1 + 4 + 8 + 4 + 8.
    KEDGE_RETURN_IF_ERROR(cursor.Need(num_keys, 14, "the metadata"));
    return cursor.Need(num_tensors, 33, "the tensor table");
  };
  if (absl::Status status = read_counts(); !status.ok()) return OfField(name_, status);

  for (uint64_t i = 0; i < num_keys; ++i) {
    absl::StatusOr<std::string> key = cursor.ReadName("a key");
    if (!key.ok()) return OfField(absl::StrCat(name_, ": key ", i + 1, " of ", num_keys), key.status());
    const std::string where = absl::StrCat(name_, ": key ", Quoted(*key));
    absl::StatusOr<GgufValue> value = ReadValue(cursor);
    if (!value.ok()) return OfField(where, value.status());
    if (!metadata_.emplace(*std::move(key), *std::move(value)).second) return Damaged(absl::StrCat(where, ": twice"));
  }

  std::vector<TableRow> table;
  for (uint64_t i = 0; i < num_tensors; ++i) {
    TableRow row;
    absl::StatusOr<std::string> tensor_name = cursor.ReadName("a tensor's name");
    if (!tensor_name.ok()) {
      return OfField(absl::StrCat(name_, ": tensor ", i + 1, " of ", num_tensors), tensor_name.status());
    }
    row.tensor.name = *std::move(tensor_name);
    const std::string where = absl::StrCat(name_, ": tensor ", Quoted(row.tensor.name));
    if (absl::Status status = ReadTableRow(cursor, row); !status.ok()) return OfField(where, status);
    if (!tensor_index_.emplace(row.tensor.name, i).second) return Damaged(absl::StrCat(where, ": twice"));
    table.push_back(std::move(row));
  }

  // A file without tensors (a vocabulary) may end right here, without the padding.
  KEDGE_ASSIGN_OR_RETURN(const uint64_t alignment, Alignment(*this));
  const uint64_t data_begin = (cursor.position() + alignment - 1) / alignment * alignment;
  for (TableRow& row : table) {
    const std::string where = absl::StrCat(name_, ": tensor ", Quoted(row.tensor.name));
    if (row.offset % alignment != 0) {
      return Damaged(absl::StrCat(where, ": offset ", row.offset, " is no multiple of the alignment ", alignment));
    }
    const uint64_t data_bytes = bytes_.size() > data_begin ? bytes_.size() - data_begin : 0;
    if (row.offset > data_bytes || row.num_bytes > data_bytes - row.offset) {
      return Damaged(absl::StrCat(where, ": truncated or damaged: ", row.num_bytes, " bytes at offset ", row.offset,
                                  " do not lie inside the file, which has ", data_bytes, " bytes of tensor data"));
    }
    if (row.num_bytes > 0) row.tensor.data = bytes_.subspan(data_begin + row.offset, row.num_bytes);
    tensors_.push_back(std::move(row.tensor));
  }
  return absl::OkStatus();
}

const GgufTensor* GgufFile::FindTensor(absl::string_view name) const {
  auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

bool GgufFile::Has(absl::string_view key) const { return metadata_.find(key) != metadata_.end(); }

absl::StatusOr<const GgufValue*> GgufFile::GetValue(absl::string_view key) const {
  auto found = metadata_.find(key);
  if (found == metadata_.end()) return absl::NotFoundError(absl::StrCat(name_, ": key '", key, "' is missing"));
  return &found->second;
}

absl::Status GgufFile::WrongKind(absl::string_view key, const GgufValue& value, absl::string_view wanted) const {
  return Damaged(absl::StrCat(name_, ": key '", key, "': must be ", wanted, ", found: ", KindOf(value)));
}

absl::StatusOr<int64_t> GgufFile::GetInt(absl::string_view key) const {
  KEDGE_ASSIGN_OR_RETURN(const GgufValue* value, GetValue(key));
  if (const auto* number = std::get_if<int64_t>(value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(value)) {
    if (*number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return static_cast<int64_t>(*number);
    return Damaged(absl::StrCat(name_, ": key '", key, "': ", *number, " is larger than any supported integer"));
  }
  return WrongKind(key, *value, "an integer");
}

absl::StatusOr<double> GgufFile::GetFloat(absl::string_view key) const {
  KEDGE_ASSIGN_OR_RETURN(const GgufValue* value, GetValue(key));
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* number = std::get_if<int64_t>(value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<uint64_t>(value)) return static_cast<double>(*number);
  return WrongKind(key, *value, "a number");
}

absl::StatusOr<bool> GgufFile::GetBool(absl::string_view key) const {
  KEDGE_ASSIGN_OR_RETURN(const GgufValue* value, GetValue(key));
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return WrongKind(key, *value, "a boolean");
}

absl::StatusOr<std::string> GgufFile::GetString(absl::string_view key) const {
  KEDGE_ASSIGN_OR_RETURN(const GgufValue* value, GetValue(key));
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return WrongKind(key, *value, "a string");
}

absl::StatusOr<const std::vector<std::string>*> GgufFile::GetStrings(absl::string_view key) const {
  KEDGE_ASSIGN_OR_RETURN(const GgufValue* value, GetValue(key));
  if (const auto* texts = std::get_if<std::vector<std::string>>(value)) return texts;
  return WrongKind(key, *value, "an array of strings");
}

absl::StatusOr<const std::vector<int64_t>*> GgufFile::GetInts(absl::string_view key) const {
  KEDGE_ASSIGN_OR_RETURN(const GgufValue* value, GetValue(key));
  if (const auto* numbers = std::get_if<std::vector<int64_t>>(value)) return numbers;
  return WrongKind(key, *value, "an array of integers");
}

absl::StatusOr<const std::vector<double>*> GgufFile::GetFloats(absl::string_view key) const {
  KEDGE_ASSIGN_OR_RETURN(const GgufValue* value, GetValue(key));
  if (const auto* numbers = std::get_if<std::vector<double>>(value)) return numbers;
  return WrongKind(key, *value, "an array of floats");
}

absl::Status KeyError(const GgufFile& file, absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file.name(), ": key '", key, "': ", what));
}

absl::Status TensorError(const GgufFile& file, absl::string_view tensor, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file.name(), ": tensor '", tensor, "': ", what));
}

}  // namespace kedge
