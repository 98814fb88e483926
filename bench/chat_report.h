// The figures of one chat that was held twice: with rows held for later turns, and without.
#ifndef KEDGE_BENCH_CHAT_REPORT_H_
#define KEDGE_BENCH_CHAT_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace kedge {

struct ChatTurn {
  uint32_t prompt_tokens = 0;
  uint32_t kept_rows = 0;
  uint32_t new_rows = 0;       // of these, that no turn before kept: they move whoever holds what
  uint32_t held_rows = 0;      // of the others, that did not move
  uint64_t moved_bytes = 0;
  uint64_t without_bytes = 0;  // that moved where nothing was held
  bool equal = false;          // both wrote the same tokens
};

// One JSON object on one line: turns, kept_rows, new_rows, held_rows, moved, without, share and equal, which is whether
// all answers are.
std::string ChatReportJson(absl::Span<const ChatTurn> turns);
// A table with a line for each turn, and one of sums.
std::string ChatReportText(absl::Span<const ChatTurn> turns);

}  // namespace kedge

#endif  // KEDGE_BENCH_CHAT_REPORT_H_
