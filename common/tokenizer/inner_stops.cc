// Tested by inner_stops_test.cc.
#include "common/tokenizer/inner_stops.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace kedge {

std::vector<uint32_t> FindGapless(const Tokenizer& tokenizer, absl::Span<const uint32_t> ids) {
  std::vector<uint32_t> positions;
  const auto is_text = [&](uint32_t id) {
    return id < static_cast<uint32_t>(tokenizer.vocab_size()) && !tokenizer.IsSpecial(id);
  };
  for (uint32_t i = 0; i + 1 < ids.size(); ++i) {
    if (!is_text(ids[i]) || !is_text(ids[i + 1])) continue;
    const absl::string_view next = tokenizer.TokenBytes(ids[i + 1]);
    if (absl::StrContains(tokenizer.TokenBytes(ids[i]), '\n')) continue;
    if (!next.empty() && !absl::ascii_isspace(static_cast<unsigned char>(next[0]))) positions.push_back(i);
  }
  return positions;
}

std::vector<uint32_t> FindInnerStops(const Tokenizer& tokenizer, const Policy& policy, absl::Span<const uint32_t> ids) {
  std::vector<uint32_t> stops = FindGapless(tokenizer, ids);
  std::erase_if(stops, [&](uint32_t position) { return !policy.IsAnchorId(ids[position]); });
  return stops;
}

}  // namespace kedge
