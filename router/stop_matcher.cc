// One Knuth-Morris-Pratt automaton per stop string: `length` is the longest beginning of the string that the text ends
// with. The longest of these lengths is what has to be held back, and a full one is a match. Linear in the text for
// each string, whatever the strings are.
//
// Tested by stop_matcher_test.cc.
#include "router/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace kedge {

StopStrings::StopStrings(std::vector<std::string> strings) {
  auto patterns = std::make_shared<std::vector<Pattern>>();
  for (std::string& text : strings) {
    KEDGE_CHECK(!text.empty());
    Pattern pattern{std::move(text)};
    pattern.fallback.assign(pattern.text.size() + 1, 0);
    uint32_t length = 0;
    for (size_t i = 1; i < pattern.text.size(); ++i) {
      while (length > 0 && pattern.text[i] != pattern.text[length]) length = pattern.fallback[length];
      if (pattern.text[i] == pattern.text[length]) ++length;
      pattern.fallback[i + 1] = length;
    }
    patterns->push_back(std::move(pattern));
  }
  patterns_ = std::move(patterns);
}

StopMatcher::StopMatcher(StopStrings stop, bool include_in_output)
    : stop_(std::move(stop)), include_in_output_(include_in_output), lengths_(stop_.size(), 0) {}

std::string StopMatcher::Push(absl::string_view piece) {
  KEDGE_CHECK(!matched());
  if (stop_.empty()) return std::string(piece);
  for (size_t i = 0; i < piece.size(); ++i) {
    for (size_t p = 0; p < stop_.size(); ++p) {
      const StopStrings::Pattern& pattern = (*stop_.patterns_)[p];
      uint32_t& length = lengths_[p];
      while (length > 0 && piece[i] != pattern.text[length]) length = pattern.fallback[length];
      if (piece[i] == pattern.text[length]) ++length;
      if (length == pattern.text.size() && (!matched() || pattern.text.size() > matched_string().size())) {
        matched_ = p;
      }
    }
    if (matched()) {
      held_.append(piece.data(), i + 1);
      if (!include_in_output_) held_.resize(held_.size() - matched_string().size());
      return std::exchange(held_, std::string());
    }
  }
  held_.append(piece.data(), piece.size());
  const size_t keep = *std::max_element(lengths_.begin(), lengths_.end());
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return certain;
}

std::string StopMatcher::Finish() { return std::exchange(held_, std::string()); }

}  // namespace kedge
