// Ranges of positions in messages: every proto that has a begin and an end.
#ifndef KEDGE_COMMON_RPC_RANGES_H_
#define KEDGE_COMMON_RPC_RANGES_H_

#include <vector>

#include "absl/types/span.h"
#include "common/anchor/ranges.h"
#include "google/protobuf/repeated_field.h"

namespace kedge {

template <typename Proto>
std::vector<PositionRange> RangesFromProto(const google::protobuf::RepeatedPtrField<Proto>& proto) {
  std::vector<PositionRange> ranges;
  for (const Proto& range : proto) ranges.push_back({range.begin(), range.end()});
  return ranges;
}

// Appends.
template <typename Proto>
void RangesToProto(absl::Span<const PositionRange> ranges, google::protobuf::RepeatedPtrField<Proto>* proto) {
  for (const PositionRange& range : ranges) {
    Proto* added = proto->Add();
    added->set_begin(range.begin);
    added->set_end(range.end);
  }
}

template <typename Proto>
bool AreSameRanges(const google::protobuf::RepeatedPtrField<Proto>& a,
                   const google::protobuf::RepeatedPtrField<Proto>& b) {
  return RangesFromProto(a) == RangesFromProto(b);
}

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_RANGES_H_
