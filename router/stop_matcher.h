// Finds stop strings in text that comes in pieces.
#ifndef KEDGE_ROUTER_STOP_MATCHER_H_
#define KEDGE_ROUTER_STOP_MATCHER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kedge {

// Lets text through except for what may still become a stop string. The first one to be complete ends the text; of
// several that end at the same character the longest counts. If pieces and stop strings are valid UTF-8, so is every
// result. Owned by one thread.
class StopMatcher {
 public:
  // REQUIRES: no string is empty.
  StopMatcher(std::vector<std::string> stop, bool include_in_output);

  // Takes the next piece and returns the text that is certain now. REQUIRES: !matched().
  std::string Push(absl::string_view piece);
  // Ends the text: what was held back. Nothing after a match.
  std::string Finish();

  // The stop string that was found, and its index in `stop`.
  bool matched() const { return matched_.has_value(); }
  const std::string& matched_string() const { return patterns_[*matched_].text; }

 private:
  struct Pattern {
    std::string text;
    // fallback[k]: length of the longest proper prefix of text that is a suffix of its first k characters.
    std::vector<size_t> fallback;
    size_t length = 0;  // how many characters of text the input so far ends with
  };

  std::vector<Pattern> patterns_;
  const bool include_in_output_;
  std::string held_;  // no longer than the longest pattern
  std::optional<size_t> matched_;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_STOP_MATCHER_H_
