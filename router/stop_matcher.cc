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

StopMatcher::StopMatcher(std::vector<std::string> stop, bool include_in_output)
    : include_in_output_(include_in_output) {
  for (std::string& text : stop) {
    KEDGE_CHECK(!text.empty());
    Pattern pattern{std::move(text)};
    pattern.fallback.assign(pattern.text.size() + 1, 0);
    size_t length = 0;
    for (size_t i = 1; i < pattern.text.size(); ++i) {
      while (length > 0 && pattern.text[i] != pattern.text[length]) length = pattern.fallback[length];
      if (pattern.text[i] == pattern.text[length]) ++length;
      pattern.fallback[i + 1] = length;
    }
    patterns_.push_back(std::move(pattern));
  }
}

std::string StopMatcher::Push(absl::string_view piece) {
  KEDGE_CHECK(!matched());
  if (patterns_.empty()) return std::string(piece);
  for (size_t i = 0; i < piece.size(); ++i) {
    for (size_t p = 0; p < patterns_.size(); ++p) {
      Pattern& pattern = patterns_[p];
      while (pattern.length > 0 && piece[i] != pattern.text[pattern.length]) {
        pattern.length = pattern.fallback[pattern.length];
      }
      if (piece[i] == pattern.text[pattern.length]) ++pattern.length;
      if (pattern.length == pattern.text.size() &&
          (!matched() || pattern.text.size() > matched_string().size())) {
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
  size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.length);
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return certain;
}

std::string StopMatcher::Finish() { return std::exchange(held_, std::string()); }

}  // namespace kedge
