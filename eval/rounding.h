// Rows of the cache rounded to a few bits, as published methods do it: what a full cache costs in their bytes.
//
// After KIVI (Liu et al., "A Tuning-Free Asymmetric 2bit Quantization for KV Cache", ICML 2024): keys by channel, in
// groups of 32 rows, values by row, in groups of 32 channels. Each group has its least value and a step as halves, and
// each value a whole number of steps. KIVI's own 128 latest rows, which it does not round, are rounded here too.
#ifndef KEDGE_EVAL_ROUNDING_H_
#define KEDGE_EVAL_ROUNDING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/kernels/row_shape.h"

namespace kedge {

inline constexpr uint32_t kRoundingGroup = 32;

// Rounds in place: `rows` in the order of a frame, [layer][kv head][key, value][row][dim]. The last group of a channel
// or of a row may be smaller. kInvalidArgument: an element type that values can not be rounded in; infinite values stay
// what they are, and so does their group. REQUIRES: 1 <= bits <= 8; whole rows.
absl::Status RoundRows(const RowShape& shape, int bits, absl::Span<uint8_t> rows);

// Bytes of so many rounded rows: bits of all values, and two halves for each group.
uint64_t RoundedRowBytes(const RowShape& shape, int bits, uint64_t rows);

}  // namespace kedge

#endif  // KEDGE_EVAL_ROUNDING_H_
