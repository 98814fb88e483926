// Bytes of an AnchorSegment, as FORMAT.md has them. Integers are put together byte by byte; nothing from outside is
// looked at through a struct. The parser reads through one cursor that cannot leave the bytes, checks the checksum
// before all fields but those that say where it is, and accepts only what the encoder would have written.
// Tested by segment_test.cc and segment_fuzzer.cc.
#include "common/anchor/segment.h"

#include <xxhash.h>

#include <algorithm>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace kedge {
namespace {

constexpr absl::string_view kMagic = "KEDGESEG";
constexpr size_t kChecksumBytes = 8;
constexpr size_t kMinHeaderBytes = 76 + 3 * 4 + 2 + kChecksumBytes;
constexpr size_t kMaxStringBytes = 1 << 20;
constexpr uint32_t kMaxDimension = 65535;
constexpr size_t kMaxRowBytes = size_t{1} << 30;
constexpr size_t kCheckedFrameBytes = 16;  // of the frame's header: all but its checksum

template <typename... Parts>
absl::Status Damaged(const Parts&... parts) {
  return absl::DataLossError(absl::StrCat("segment: ", parts...));
}

void PutUint(uint64_t value, int bytes, uint8_t* out) {
  for (int i = 0; i < bytes; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint64_t GetUint(const uint8_t* bytes, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; ++i) value |= uint64_t{bytes[i]} << (8 * i);
  return value;
}

void AppendUint(uint64_t value, int bytes, std::string* out) {
  uint8_t buffer[8];
  PutUint(value, bytes, buffer);
  out->append(buffer, buffer + bytes);
}

void AppendString(const std::string& text, std::string* out) {
  KEDGE_CHECK(text.size() <= kMaxStringBytes);
  AppendUint(text.size(), 4, out);
  out->append(text);
}

void AppendVarint(uint32_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendRanges(absl::Span<const PositionRange> ranges, uint32_t limit, std::string* out) {
  uint32_t next = 0;
  for (const PositionRange& range : ranges) {
    KEDGE_CHECK(range.begin >= next && range.begin < range.end && range.end <= limit);
    AppendVarint(range.begin - next, out);
    AppendVarint(range.end - range.begin - 1, out);
    next = range.end;
  }
}

// Reads fields in order; each error names the field that the bytes have no room for.
class Cursor {
 public:
  explicit Cursor(absl::Span<const uint8_t> bytes) : rest_(bytes) {}

  absl::StatusOr<absl::Span<const uint8_t>> Take(size_t size, absl::string_view field) {
    if (rest_.size() < size) return Damaged(field, ": goes beyond the header's end");
    const absl::Span<const uint8_t> taken = rest_.first(size);
    rest_.remove_prefix(size);
    return taken;
  }

  absl::StatusOr<uint32_t> U32(absl::string_view field) {
    KEDGE_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> bytes, Take(4, field));
    return static_cast<uint32_t>(GetUint(bytes.data(), 4));
  }

  absl::StatusOr<std::string> String(absl::string_view field) {
    KEDGE_ASSIGN_OR_RETURN(const uint32_t size, U32(field));
    if (size > kMaxStringBytes) return Damaged(field, ": ", size, " bytes; at most ", kMaxStringBytes, " are allowed");
    KEDGE_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> bytes, Take(size, field));
    return std::string(bytes.begin(), bytes.end());
  }

  absl::StatusOr<uint32_t> Varint(absl::string_view field) {
    uint64_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      KEDGE_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> byte, Take(1, field));
      value |= uint64_t{byte[0] & 0x7fu} << shift;
      if (byte[0] >= 0x80) continue;
      if (value > UINT32_MAX) return Damaged(field, ": a varint is above 32 bits");
      if (byte[0] == 0 && shift > 0) return Damaged(field, ": a varint is longer than it needs to be");
      return static_cast<uint32_t>(value);
    }
    return Damaged(field, ": a varint has more than 5 bytes");
  }

  size_t left() const { return rest_.size(); }

 private:
  absl::Span<const uint8_t> rest_;
};

absl::StatusOr<uint32_t> TakeDimension(Cursor& cursor, absl::string_view field) {
  KEDGE_ASSIGN_OR_RETURN(const uint32_t value, cursor.U32(field));
  if (value == 0 || value > kMaxDimension) return Damaged(field, ": ", value, " is not from 1 to ", kMaxDimension);
  return value;
}

absl::StatusOr<RowShape> TakeShape(Cursor& cursor) {
  RowShape shape;
  KEDGE_ASSIGN_OR_RETURN(shape.layers, TakeDimension(cursor, "layers"));
  KEDGE_ASSIGN_OR_RETURN(shape.kv_heads, TakeDimension(cursor, "KV heads"));
  KEDGE_ASSIGN_OR_RETURN(shape.head_dim, TakeDimension(cursor, "head dim"));
  KEDGE_ASSIGN_OR_RETURN(const uint32_t type, cursor.U32("KV type"));
  if (type >> 8 != 0) return Damaged("reserved: bytes 29 to 31 are not 0");
  switch (type) {
    case static_cast<uint32_t>(KvType::kF32):
    case static_cast<uint32_t>(KvType::kF16):
    case static_cast<uint32_t>(KvType::kBF16):
    case static_cast<uint32_t>(KvType::kQ8):
    case static_cast<uint32_t>(KvType::kK6V4):
      shape.type = static_cast<KvType>(type);
      break;
    default:
      return Damaged("KV type: ", type, " is unknown; known are 1 (f32), 2 (f16), 3 (bf16), 4 (q8) and 5 (k6v4)");
  }
  if (shape.row_bytes() > kMaxRowBytes) return Damaged("shape: a row has ", shape.row_bytes(), " bytes; too many");
  return shape;
}

absl::StatusOr<std::vector<uint32_t>> TakePositions(Cursor& cursor, uint32_t count, uint32_t end) {
  // Each takes a byte at least: this bounds what is allocated by what has arrived.
  if (count > cursor.left()) return Damaged("positions: ", count, " rows go beyond the header's end");
  std::vector<uint32_t> positions;
  positions.reserve(count);
  uint64_t next = 0;  // the least that the next position can be
  for (uint32_t i = 0; i < count; ++i) {
    KEDGE_ASSIGN_OR_RETURN(const uint32_t distance, cursor.Varint("positions"));
    const uint64_t position = next + distance;
    if (position >= end) return Damaged("positions: ", position, " of row ", i, " is not below end, ", end);
    positions.push_back(static_cast<uint32_t>(position));
    next = position + 1;
  }
  return positions;
}

absl::StatusOr<std::vector<PositionRange>> TakeRanges(Cursor& cursor, uint32_t count, uint32_t limit,
                                                      absl::string_view field) {
  if (count > cursor.left() / 2) return Damaged(field, ": ", count, " ranges go beyond the header's end");
  std::vector<PositionRange> ranges;
  uint64_t least = 0;
  for (uint32_t i = 0; i < count; ++i) {
    KEDGE_ASSIGN_OR_RETURN(const uint32_t distance, cursor.Varint(field));
    KEDGE_ASSIGN_OR_RETURN(const uint32_t length_less_one, cursor.Varint(field));
    const uint64_t begin = least + distance;
    least = begin + length_less_one + 1;
    if (least > limit) return Damaged(field, ": range ", i, " ends at ", least, ", after ", limit);
    ranges.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(least)});
  }
  return ranges;
}

absl::StatusOr<std::optional<std::vector<PositionRange>>> TakeSalient(Cursor& cursor, uint32_t end) {
  KEDGE_ASSIGN_OR_RETURN(const uint32_t count, cursor.Varint("salient"));
  if (count == 0) return std::nullopt;
  return TakeRanges(cursor, count - 1, end, "salient");
}

uint64_t Checksum(const uint8_t* frame_header, const ChainKey& chain, absl::Span<const uint8_t> payload) {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  const std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
  KEDGE_CHECK(state != nullptr);
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), frame_header, kCheckedFrameBytes);
  XXH3_64bits_update(state.get(), chain.data(), chain.size());
  XXH3_64bits_update(state.get(), payload.data(), payload.size());
  return XXH3_64bits_digest(state.get());
}

// Outside text in a message: short, printable.
std::string Quote(absl::string_view text) {
  constexpr size_t kLongest = 80;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kLongest)), text.size() > kLongest ? "...\"" : "\"");
}

absl::Status OtherSetting(absl::string_view field, absl::string_view expected, absl::string_view got) {
  return absl::FailedPreconditionError(
      absl::StrCat("segment: ", field, ": the sender has ", Quote(got), ", this node ", Quote(expected)));
}

// The first key that differs: canonical policies are long, and alike for most of it.
absl::Status OtherPolicy(absl::string_view expected, absl::string_view got) {
  const std::vector<absl::string_view> expected_items = absl::StrSplit(expected, ',');
  const std::vector<absl::string_view> got_items = absl::StrSplit(got, ',');
  for (size_t i = 0; i < std::min(expected_items.size(), got_items.size()); ++i) {
    if (expected_items[i] != got_items[i]) return OtherSetting("policy", expected_items[i], got_items[i]);
  }
  return OtherSetting("policy", expected, got);
}

std::string ShapeText(const RowShape& shape) {
  return absl::StrCat(shape.layers, " layers, ", shape.kv_heads, " KV heads, head dim ", shape.head_dim, ", ",
                      KvTypeName(shape.type));
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string out(kMagic.data(), kMagic.size());
  AppendUint(kSegmentFormatVersion, 4, &out);
  const size_t size_offset = out.size();
  AppendUint(0, 4, &out);
  AppendUint(header.shape.layers, 4, &out);
  AppendUint(header.shape.kv_heads, 4, &out);
  AppendUint(header.shape.head_dim, 4, &out);
  AppendUint(static_cast<uint8_t>(header.shape.type), 4, &out);  // and three reserved bytes
  out.append(header.chain.begin(), header.chain.end());
  AppendUint(header.end, 4, &out);
  AppendUint(header.recent_begin, 4, &out);
  AppendUint(header.positions.size(), 4, &out);
  AppendString(header.fingerprint, &out);
  AppendString(header.canonical_policy, &out);
  AppendString(header.numerics_class, &out);
  uint32_t next = 0;
  for (uint32_t position : header.positions) {
    KEDGE_CHECK(position >= next && position < header.end);
    AppendVarint(position - next, &out);
    next = position + 1;
  }
  AppendVarint(header.salient.has_value() ? static_cast<uint32_t>(header.salient->size()) + 1 : 0, &out);
  if (header.salient.has_value()) AppendRanges(*header.salient, header.end, &out);
  AppendVarint(static_cast<uint32_t>(header.left_out.size()), &out);
  AppendRanges(header.left_out, static_cast<uint32_t>(header.positions.size()), &out);
  const size_t size = out.size() + kChecksumBytes;
  KEDGE_CHECK(size <= UINT32_MAX);
  for (int i = 0; i < 4; ++i) out[size_offset + i] = static_cast<char>(size >> (8 * i));
  AppendUint(XXH3_64bits(out.data(), out.size()), 8, &out);
  return out;
}

absl::StatusOr<SegmentHeader> ParseSegmentHeader(absl::Span<const uint8_t> bytes) {
  if (bytes.size() < kMinHeaderBytes) {
    return Damaged("header: ", bytes.size(), " bytes; it has ", kMinHeaderBytes, " at least");
  }
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin(), [](char a, uint8_t b) { return uint8_t(a) == b; })) {
    return Damaged("magic: these bytes are no segment header");
  }
  const uint64_t version = GetUint(bytes.data() + 8, 4);
  if (version != kSegmentFormatVersion) {
    return Damaged("version: ", version, " is not supported; supported is ", kSegmentFormatVersion);
  }
  const uint64_t size = GetUint(bytes.data() + 12, 4);
  if (size != bytes.size()) return Damaged("header bytes: the field says ", size, ", there are ", bytes.size());
  const absl::Span<const uint8_t> checked = bytes.first(bytes.size() - kChecksumBytes);
  if (XXH3_64bits(checked.data(), checked.size()) != GetUint(bytes.data() + checked.size(), kChecksumBytes)) {
    return Damaged("checksum: does not match the header");
  }

  Cursor cursor(checked.subspan(16));
  SegmentHeader header;
  KEDGE_ASSIGN_OR_RETURN(header.shape, TakeShape(cursor));
  KEDGE_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> chain, cursor.Take(header.chain.size(), "chain"));
  std::copy(chain.begin(), chain.end(), header.chain.begin());
  KEDGE_ASSIGN_OR_RETURN(header.end, cursor.U32("end"));
  KEDGE_ASSIGN_OR_RETURN(header.recent_begin, cursor.U32("recent begin"));
  if (header.recent_begin > header.end) {
    return Damaged("recent begin: ", header.recent_begin, " is above end, ", header.end);
  }
  KEDGE_ASSIGN_OR_RETURN(const uint32_t rows, cursor.U32("rows"));
  KEDGE_ASSIGN_OR_RETURN(header.fingerprint, cursor.String("fingerprint"));
  KEDGE_ASSIGN_OR_RETURN(header.canonical_policy, cursor.String("policy"));
  KEDGE_ASSIGN_OR_RETURN(header.numerics_class, cursor.String("numerics class"));
  KEDGE_ASSIGN_OR_RETURN(header.positions, TakePositions(cursor, rows, header.end));
  KEDGE_ASSIGN_OR_RETURN(header.salient, TakeSalient(cursor, header.end));
  KEDGE_ASSIGN_OR_RETURN(const uint32_t left_out, cursor.Varint("left out"));
  KEDGE_ASSIGN_OR_RETURN(header.left_out, TakeRanges(cursor, left_out, rows, "left out"));
  if (cursor.left() != 0) return Damaged("left out: ", cursor.left(), " bytes are left over");
  return header;
}

uint32_t SegmentHeader::num_following() const {
  uint32_t following = static_cast<uint32_t>(positions.size());
  for (const PositionRange& range : left_out) following -= range.end - range.begin;
  return following;
}

absl::Status CheckSegmentHeader(const SegmentHeader& expected, const SegmentHeader& got) {
  if (got.fingerprint != expected.fingerprint) {
    return OtherSetting("fingerprint", expected.fingerprint, got.fingerprint);
  }
  if (got.canonical_policy != expected.canonical_policy) {
    return OtherPolicy(expected.canonical_policy, got.canonical_policy);
  }
  if (got.numerics_class != expected.numerics_class) {
    return OtherSetting("numerics class", expected.numerics_class, got.numerics_class);
  }
  if (got.shape != expected.shape) return OtherSetting("shape", ShapeText(expected.shape), ShapeText(got.shape));
  if (got.chain != expected.chain) {
    return Damaged("chain: is ", ToHex(got.chain), ", not ", ToHex(expected.chain));
  }
  if (got.end != expected.end) return Damaged("end: is ", got.end, ", not ", expected.end);
  if (got.recent_begin != expected.recent_begin) {
    return Damaged("recent begin: is ", got.recent_begin, ", not ", expected.recent_begin);
  }
  if (got.positions.size() != expected.positions.size()) {
    return Damaged("positions: ", got.positions.size(), " rows, not ", expected.positions.size());
  }
  for (size_t i = 0; i < got.positions.size(); ++i) {
    if (got.positions[i] != expected.positions[i]) {
      return Damaged("positions: row ", i, " is ", got.positions[i], ", not ", expected.positions[i]);
    }
  }
  if (got.salient != expected.salient) return Damaged("salient: is not the choice of this request");
  return absl::OkStatus();
}

uint32_t RowsPerFrame(const RowShape& shape) {
  const size_t row_bytes = std::max<size_t>(shape.row_bytes(), 1);
  return static_cast<uint32_t>(std::max<size_t>((kMaxFrameBytes - kFrameHeaderBytes) / row_bytes, 1));
}

namespace {

// But for the checksum.
void PutFields(const FrameHeader& header, uint8_t* out) {
  PutUint(header.index, 4, out);
  PutUint(header.first_row, 4, out + 4);
  PutUint(header.row_count, 4, out + 8);
  PutUint(0, 4, out + 12);
}

}  // namespace

std::string SummedPrefix(const FrameHeader& header, const ChainKey& chain) {
  uint8_t fields[kCheckedFrameBytes];
  PutFields(header, fields);
  std::string prefix(fields, fields + sizeof(fields));
  prefix.append(chain.begin(), chain.end());
  return prefix;
}

void EncodeFrameHeader(FrameHeader header, uint64_t checksum, uint8_t* out) {
  PutFields(header, out);
  PutUint(checksum, 8, out + kCheckedFrameBytes);
}

void EncodeFrameHeader(FrameHeader header, const ChainKey& chain, absl::Span<const uint8_t> payload, uint8_t* out) {
  PutFields(header, out);
  EncodeFrameHeader(header, Checksum(out, chain, payload), out);
}

uint64_t FrameChecksum(absl::Span<const uint8_t> frame, const ChainKey& chain) {
  if (frame.size() < kFrameHeaderBytes) return 0;
  return Checksum(frame.data(), chain, FrameChecker::Payload(frame));
}

absl::StatusOr<FrameHeader> FrameChecker::Accept(absl::Span<const uint8_t> frame, uint64_t checksum) {
  if (frame.size() < kFrameHeaderBytes) {
    return Damaged("frame ", frames_, ": ", frame.size(), " bytes are too few for its header");
  }
  FrameHeader header;
  header.index = static_cast<uint32_t>(GetUint(frame.data(), 4));
  header.first_row = static_cast<uint32_t>(GetUint(frame.data() + 4, 4));
  header.row_count = static_cast<uint32_t>(GetUint(frame.data() + 8, 4));
  header.checksum = GetUint(frame.data() + kCheckedFrameBytes, 8);
  const absl::Span<const uint8_t> payload = Payload(frame);

  if (header.index != frames_) return Damaged("frame ", frames_, ": index is ", header.index, ", out of turn");
  if (header.first_row != rows_) {
    return Damaged("frame ", frames_, ": first row is ", header.first_row, ", not ", rows_);
  }
  const uint32_t missing = num_following_ - rows_;
  const uint32_t most = RowsPerFrame(header_.shape);
  if (header.row_count == 0 || header.row_count > missing || header.row_count > most) {
    return Damaged("frame ", frames_, ": row count is ", header.row_count, "; ", missing, " rows are missing, and ",
                   most, " fit a frame");
  }
  if (GetUint(frame.data() + 12, 4) != 0) return Damaged("frame ", frames_, ": reserved is not 0");
  if (const size_t size = header.row_count * header_.shape.row_bytes(); payload.size() != size) {
    return Damaged("frame ", frames_, ": payload has ", payload.size(), " bytes, not ", size);
  }
  if (checksum != header.checksum) {
    return Damaged("frame ", frames_, ": checksum does not match");
  }
  ++frames_;
  rows_ += header.row_count;
  return header;
}

}  // namespace kedge
