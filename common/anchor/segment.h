// AnchorSegment: State(p), or a part of it, as portable bytes: one header, then frames of rows. FORMAT.md describes
// every byte; this is its only encoder and its only parser.
//
// Rows travel in the order [layer][kv head][key, value][row][dim] within a frame, little-endian, in the header's KV
// type: any node can place them, whatever its pages, threads or devices look like.
#ifndef KEDGE_COMMON_ANCHOR_SEGMENT_H_
#define KEDGE_COMMON_ANCHOR_SEGMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/chain.h"
#include "common/anchor/ranges.h"
#include "common/kernels/row_shape.h"  // KvType, RowShape: implemented in row_shape.cc, not here

namespace kedge {

inline constexpr uint32_t kSegmentFormatVersion = 3;
inline constexpr size_t kMaxFrameBytes = 1 << 20;  // header of the frame included

struct SegmentHeader {
  std::string fingerprint;  // ModelFingerprint, hex
  std::string canonical_policy;
  std::string numerics_class;
  ChainKey chain{};  // of the `end` tokens before row p
  RowShape shape;
  uint32_t end = 0;                                   // p
  uint32_t recent_begin = 0;                          // lo(p): rows before it belong to K, the others to R
  std::vector<uint32_t> positions;                    // of all rows of the state, strictly ascending, each < end
  std::optional<std::vector<PositionRange>> salient;  // the choice that the rows stand on, if the policy makes one
  std::vector<PositionRange> left_out;                // indices of `positions`: rows that the receiver has already
  // How many rows follow: all others.
  uint32_t num_following() const;
  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

// Ends with a checksum of itself.
std::string EncodeSegmentHeader(const SegmentHeader& header);
// kDataLoss: wrong magic, a version not supported, a length beyond the bytes, positions out of order, a checksum that
// does not match. The message names the field.
absl::StatusOr<SegmentHeader> ParseSegmentHeader(absl::Span<const uint8_t> bytes);

// Says which field of `got` differs from what the receiver computed itself; OK if none does.
// kFailedPrecondition for settings (fingerprint, policy, class, shape), kDataLoss for chain, positions and choice. What
// is left out the receiver compares with what it has.
absl::Status CheckSegmentHeader(const SegmentHeader& expected, const SegmentHeader& got);

// One frame: rows first_row .. first_row + row_count - 1 of those that follow (`positions` without `left_out`).
struct FrameHeader {
  uint32_t index = 0;  // from 0, without gaps
  uint32_t first_row = 0;
  uint32_t row_count = 0;  // at least 1
  uint64_t checksum = 0;   // XXH3-64 of index, first_row, row_count, the chain and the payload
};
inline constexpr size_t kFrameHeaderBytes = 24;

// How many rows fit a frame (at least 1: a row larger than a frame travels alone).
uint32_t RowsPerFrame(const RowShape& shape);

// Of a frame's bytes, but for those of the checksum itself, in a segment of this chain; 0 if they are too few.
uint64_t FrameChecksum(absl::Span<const uint8_t> frame, const ChainKey& chain);

// What stands before the payload in what the checksum is of.
std::string SummedPrefix(const FrameHeader& header, const ChainKey& chain);

// Writes kFrameHeaderBytes to `out`: with this checksum, or with that of the payload.
void EncodeFrameHeader(FrameHeader header, uint64_t checksum, uint8_t* out);
void EncodeFrameHeader(FrameHeader header, const ChainKey& chain, absl::Span<const uint8_t> payload, uint8_t* out);

// Checks frames as they come, in order. Staging belongs to the caller: a payload is good when Accept has returned OK,
// and the state is whole when complete(). Owned by one thread.
class FrameChecker {
 public:
  explicit FrameChecker(SegmentHeader header) : header_(std::move(header)), num_following_(header_.num_following()) {}

  // `frame`: header and payload. Returns the rows it carries. kDataLoss names what is wrong: too short, an index or a
  // first row out of turn, too many rows, a payload of another length, a checksum that does not match.
  // `checksum`: the FrameChecksum of the frame and the header's chain, which another thread may have made.
  absl::StatusOr<FrameHeader> Accept(absl::Span<const uint8_t> frame, uint64_t checksum);
  absl::StatusOr<FrameHeader> Accept(absl::Span<const uint8_t> frame) {
    return Accept(frame, FrameChecksum(frame, header_.chain));
  }
  // The part of `frame` after its header.
  static absl::Span<const uint8_t> Payload(absl::Span<const uint8_t> frame) { return frame.subspan(kFrameHeaderBytes); }

  bool complete() const { return rows_ == num_following_; }
  const SegmentHeader& header() const { return header_; }

 private:
  SegmentHeader header_;
  uint32_t num_following_;
  uint32_t frames_ = 0;
  uint32_t rows_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_SEGMENT_H_
