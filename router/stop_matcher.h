// Finds stop strings in text that comes in pieces.
#ifndef KEDGE_ROUTER_STOP_MATCHER_H_
#define KEDGE_ROUTER_STOP_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kedge {

// Stop strings, and what finding them takes: made once for a request, and shared by its completions, as copies share
// it. Immutable, so thread-safe.
class StopStrings {
 public:
  StopStrings() : StopStrings(std::vector<std::string>()) {}
  // REQUIRES: no string is empty.
  StopStrings(std::vector<std::string> strings);  // NOLINT: a list of strings is what it looks like
  StopStrings(std::initializer_list<std::string> strings) : StopStrings(std::vector<std::string>(strings)) {}

  size_t size() const { return patterns_->size(); }
  bool empty() const { return patterns_->empty(); }
  const std::string& operator[](size_t i) const { return (*patterns_)[i].text; }

 private:
  friend class StopMatcher;
  struct Pattern {
    std::string text;
    // fallback[k]: length of the longest proper prefix of text that is a suffix of its first k characters.
    std::vector<uint32_t> fallback;
  };
  std::shared_ptr<const std::vector<Pattern>> patterns_;
};

// Lets text through except for what may still become a stop string. The first one to be complete ends the text; of
// several that end at the same character the longest counts. If pieces and stop strings are valid UTF-8, so is every
// result. Owned by one thread.
class StopMatcher {
 public:
  StopMatcher(StopStrings stop, bool include_in_output);

  // Takes the next piece and returns the text that is certain now. REQUIRES: !matched().
  std::string Push(absl::string_view piece);
  // Ends the text: what was held back. Nothing after a match.
  std::string Finish();

  // The stop string that was found.
  bool matched() const { return matched_.has_value(); }
  const std::string& matched_string() const { return stop_[*matched_]; }

 private:
  const StopStrings stop_;
  const bool include_in_output_;
  std::vector<uint32_t> lengths_;  // of each string, how many characters of it the input so far ends with
  std::string held_;               // no longer than the longest string
  std::optional<size_t> matched_;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_STOP_MATCHER_H_
