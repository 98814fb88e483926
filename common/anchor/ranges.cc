// Tested by ranges_test.cc.
#include "common/anchor/ranges.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace kedge {

absl::Status CheckRanges(absl::Span<const PositionRange> ranges, uint32_t limit, absl::string_view field) {
  uint32_t least = 0;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const PositionRange& range = ranges[i];
    if (range.begin < least || range.end <= range.begin || range.end > limit) {
      return absl::InvalidArgumentError(absl::StrCat(field, "[", i, "]: [", range.begin, ", ", range.end,
                                                     ") is empty, out of order, or goes beyond ", limit));
    }
    least = range.end;
  }
  return absl::OkStatus();
}

bool Contains(absl::Span<const PositionRange> ranges, uint32_t position) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), position,
                                      [](uint32_t value, const PositionRange& range) { return value < range.begin; });
  return after != ranges.begin() && position < std::prev(after)->end;
}

bool Overlaps(const PositionRange& range, absl::Span<const PositionRange> ranges) {
  const auto first = std::upper_bound(ranges.begin(), ranges.end(), range.begin,
                                      [](uint32_t value, const PositionRange& other) { return value < other.end; });
  return first != ranges.end() && first->begin < range.end;
}

std::vector<PositionRange> UnionOf(std::vector<PositionRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const PositionRange& a, const PositionRange& b) { return a.begin < b.begin; });
  std::vector<PositionRange> joined;
  for (const PositionRange& range : ranges) {
    if (range.begin >= range.end) continue;
    if (joined.empty() || joined.back().end < range.begin) joined.push_back(range);
    joined.back().end = std::max(joined.back().end, range.end);
  }
  return joined;
}

std::vector<PositionRange> RangesBefore(uint32_t end, absl::Span<const PositionRange> ranges) {
  std::vector<PositionRange> before;
  for (const PositionRange& range : ranges) {
    if (range.begin < end) before.push_back({range.begin, std::min(range.end, end)});
  }
  return before;
}

std::vector<uint32_t> PositionsOf(const std::vector<bool>& bits) {
  std::vector<uint32_t> positions;
  for (uint32_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) positions.push_back(i);
  }
  return positions;
}

std::vector<PositionRange> RangesOf(absl::Span<const uint32_t> positions) {
  std::vector<PositionRange> ranges;
  for (uint32_t position : positions) {
    if (ranges.empty() || ranges.back().end != position) ranges.push_back({position, position});
    ++ranges.back().end;
  }
  return ranges;
}

}  // namespace kedge
