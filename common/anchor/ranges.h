// Half-open ranges of positions: how pinned spans, the choice of salient sequences and kept parts are written.
#ifndef KEDGE_COMMON_ANCHOR_RANGES_H_
#define KEDGE_COMMON_ANCHOR_RANGES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kedge {

// Positions begin .. end - 1.
struct PositionRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  friend bool operator==(const PositionRange&, const PositionRange&) = default;
};

// kInvalidArgument names `field` unless the ranges are not empty, ascending, disjoint, and end at or before `limit`.
absl::Status CheckRanges(absl::Span<const PositionRange> ranges, uint32_t limit, absl::string_view field);

// REQUIRES: the ranges are in order.
bool Contains(absl::Span<const PositionRange> ranges, uint32_t position);

// Whether the two have a position in common. REQUIRES: the ranges are in order.
bool Overlaps(const PositionRange& range, absl::Span<const PositionRange> ranges);

// The fewest ranges that have exactly the positions of these, which may overlap and be empty, in any order.
std::vector<PositionRange> UnionOf(std::vector<PositionRange> ranges);

// The ranges as far as they lie before `end`.
std::vector<PositionRange> RangesBefore(uint32_t end, absl::Span<const PositionRange> ranges);

// Where the bits are set, ascending.
std::vector<uint32_t> PositionsOf(const std::vector<bool>& bits);

// The fewest ranges that have exactly `positions`. REQUIRES: these are ascending.
std::vector<PositionRange> RangesOf(absl::Span<const uint32_t> positions);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_RANGES_H_
