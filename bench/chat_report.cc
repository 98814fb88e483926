// Tested by chat_report_test.cc.
#include "bench/chat_report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

struct Sums {
  uint64_t kept = 0;
  uint64_t fresh = 0;
  uint64_t held = 0;
  uint64_t moved = 0;
  uint64_t without = 0;
  bool equal = true;
};

Sums SumsOf(absl::Span<const ChatTurn> turns) {
  Sums sums;
  for (const ChatTurn& turn : turns) {
    sums.kept += turn.kept_rows;
    sums.fresh += turn.new_rows;
    sums.held += turn.held_rows;
    sums.moved += turn.moved_bytes;
    sums.without += turn.without_bytes;
    sums.equal &= turn.equal;
  }
  return sums;
}

}  // namespace

std::string ChatReportJson(absl::Span<const ChatTurn> turns) {
  const Sums sums = SumsOf(turns);
  nlohmann::ordered_json json;
  json["turns"] = nlohmann::ordered_json::array();
  for (const ChatTurn& turn : turns) {
    json["turns"].push_back({{"prompt_tokens", turn.prompt_tokens},
                             {"kept_rows", turn.kept_rows},
                             {"new_rows", turn.new_rows},
                             {"held_rows", turn.held_rows},
                             {"moved", turn.moved_bytes},
                             {"without", turn.without_bytes},
                             {"equal", turn.equal}});
  }
  json["kept_rows"] = sums.kept;
  json["new_rows"] = sums.fresh;
  json["held_rows"] = sums.held;
  json["moved"] = sums.moved;
  json["without"] = sums.without;
  json["share"] = Share(sums.moved, sums.without);
  json["equal"] = sums.equal;
  return json.dump() + "\n";
}

std::string ChatReportText(absl::Span<const ChatTurn> turns) {
  std::string text = absl::StrFormat("%4s %8s %6s %6s %6s %9s %9s %7s\n", "turn", "prompt", "kept", "new", "held",
                                     "moved kB", "without", "share");
  for (size_t i = 0; i < turns.size(); ++i) {
    const ChatTurn& turn = turns[i];
    absl::StrAppendFormat(&text, "%4d %8d %6d %6d %6d %9.1f %9.1f %5.1f %%%s\n", i + 1, turn.prompt_tokens,
                          turn.kept_rows, turn.new_rows, turn.held_rows, turn.moved_bytes * 1e-3,
                          turn.without_bytes * 1e-3, 100 * Share(turn.moved_bytes, turn.without_bytes),
                          turn.equal ? "" : "  another answer");
  }
  const Sums sums = SumsOf(turns);
  absl::StrAppendFormat(&text, "\nrows        %d kept, %d of them (%.1f %%) in no turn before; %d held\n", sums.kept,
                        sums.fresh, 100 * Share(sums.fresh, sums.kept), sums.held);
  absl::StrAppendFormat(&text, "bytes       %.2f MB moved, %.1f %% of the %.2f MB where nothing is held; %s\n",
                        sums.moved * 1e-6, 100 * Share(sums.moved, sums.without), sums.without * 1e-6,
                        sums.equal ? "equal answers" : "NOT the same answers");
  return text;
}

}  // namespace kedge
