// One walk over the text. At a terminator, what follows is looked at (closing marks, white space, the next sentence's first
// character) and, for a single full stop, the word before it.
//
// Words are ASCII here: the abbreviations known are English ones, and of other scripts only the full-width terminators
// matter, which no abbreviation has.
// Tested by sentence_splitter_test.cc.
#include "common/tokenizer/sentence_splitter.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/ascii.h"
#include "common/tokenizer/utf8.h"

namespace kedge {
namespace {

// In lower case, sorted. Those that also end sentences ("etc.", "Inc.", "a.m.") are known by what follows them.
constexpr absl::string_view kAbbreviations[] = {
    "adm", "al",  "approx", "ca", "capt", "cf",  "cmdr", "col", "dr",  "est", "gen", "gov", "hon", "jr", "lt", "messrs",
    "mr",  "mrs", "ms",     "mt", "pres", "prof", "rep", "rev", "sen", "sgt", "sr",  "st",  "viz", "vs"};
// Only where a digit follows: "no." also ends sentences.
constexpr absl::string_view kBeforeNumbers[] = {"apr", "art", "aug", "ch", "dec",  "eq",  "feb", "fig", "jan", "jul",
                                                "jun", "mar", "no",  "nov", "nos", "oct", "p",   "pp",  "sec", "sep",
                                                "sept", "vol"};

template <size_t n>
bool Contains(const absl::string_view (&sorted)[n], absl::string_view word) {
  return std::binary_search(std::begin(sorted), std::end(sorted), word);
}

bool IsFullWidthTerminator(char32_t c) {
  return c == U'\u3002' || c == U'\uFF01' || c == U'\uFF0E' || c == U'\uFF1F' || c == U'\uFF61';
}

bool IsTerminator(char32_t c) { return c == '.' || c == '?' || c == '!' || c == U'\u2026' || IsFullWidthTerminator(c); }

bool IsCloser(char32_t c) {
  constexpr char32_t kClosers[] = {'"',      '\'',     ')',      ']',      '}',      U'\u00BB', U'\u2019', U'\u201D',
                                   U'\u203A', U'\u300B', U'\u300D', U'\u300F', U'\u3011', U'\uFF09'};
  return std::find(std::begin(kClosers), std::end(kClosers), c) != std::end(kClosers);
}

bool IsOpener(char32_t c) {
  constexpr char32_t kOpeners[] = {'"', '\'', '(', '[', '{', '-', U'\u00AB', U'\u2018', U'\u201C', U'\u2039'};
  return std::find(std::begin(kOpeners), std::end(kOpeners), c) != std::end(kOpeners);
}

bool IsDigits(absl::string_view word) { return std::all_of(word.begin(), word.end(), absl::ascii_isdigit); }

class Splitter {
 public:
  explicit Splitter(absl::string_view text) : text_(text) {}

  std::vector<size_t> Split() {
    size_t at = SkipSpace(0).end;
    sentence_begin_ = at;
    while (at < text_.size()) {
      const Character c = ReadCharacter(text_.substr(at));
      if (IsTerminator(c.code_point)) {
        at = TakeTerminators(at);
      } else if (IsWhiteSpace(c.code_point)) {
        const Space space = SkipSpace(at);
        if (space.line_feeds >= 2) Break(at, space.end);
        at = space.end;
      } else {
        at += c.length;
      }
    }
    return std::move(breaks_);
  }

 private:
  struct Space {
    size_t end;
    int line_feeds;
  };

  // The white space from `at` on.
  Space SkipSpace(size_t at) const {
    int line_feeds = 0;
    while (at < text_.size()) {
      const Character c = ReadCharacter(text_.substr(at));
      if (!IsWhiteSpace(c.code_point)) break;
      line_feeds += c.code_point == '\n' ? 1 : 0;
      at += c.length;
    }
    return {at, line_feeds};
  }

  // A sentence that ends at `at`, if another one begins at `next`.
  void Break(size_t at, size_t next) {
    if (next < text_.size()) breaks_.push_back(at);
    sentence_begin_ = next;
  }

  // Looks at the terminators from `begin` on; returns where to go on.
  size_t TakeTerminators(size_t begin) {
    size_t end = begin;
    bool is_full_width = false;
    for (; end < text_.size(); end += ReadCharacter(text_.substr(end)).length) {
      const char32_t c = ReadCharacter(text_.substr(end)).code_point;
      if (!IsTerminator(c)) break;
      is_full_width = IsFullWidthTerminator(c);
    }
    const bool is_single_stop = text_.substr(begin, end - begin) == ".";
    while (end < text_.size()) {
      const Character c = ReadCharacter(text_.substr(end));
      if (!IsCloser(c.code_point)) break;
      end += c.length;
    }
    const Space space = SkipSpace(end);
    if (space.end == end && !is_full_width) return end;
    if (space.line_feeds < 2 && space.end < text_.size()) {
      const char next = text_[space.end];
      if (!is_full_width && absl::ascii_islower(next)) return space.end;
      if (is_single_stop && IsAbbreviated(begin, next)) return space.end;
    }
    Break(end, space.end);
    return space.end;
  }

  // Whether the full stop at `at` belongs to the word before it; `next` is the first character after it.
  bool IsAbbreviated(size_t at, char next) const {
    size_t begin = at;
    while (begin > sentence_begin_ && (absl::ascii_isalnum(text_[begin - 1]) || text_[begin - 1] == '.')) --begin;
    const absl::string_view word = text_.substr(begin, at - begin);
    if (word.empty()) return false;
    if (begin > sentence_begin_) {  // as in "kedge.cc/x."
      const char32_t before = ReadLastCharacter(text_.substr(0, begin)).code_point;
      if (!IsWhiteSpace(before) && !IsOpener(before)) return false;
    }
    if (begin == sentence_begin_ && IsDigits(word)) return true;  // a list entry's number
    if (!absl::ascii_isalpha(word[0])) return false;
    if (word.size() == 1) return word != "I";
    // Letters with dots between: e.g., U.S., J.R.
    bool is_dotted = word.size() % 2 == 1;
    for (size_t i = 1; is_dotted && i < word.size(); i += 2) {
      is_dotted = word[i] == '.' && absl::ascii_isalpha(word[i + 1]);
    }
    if (is_dotted) return true;
    const std::string lower = absl::AsciiStrToLower(word);
    return Contains(kAbbreviations, lower) || (absl::ascii_isdigit(next) && Contains(kBeforeNumbers, lower));
  }

  const absl::string_view text_;
  size_t sentence_begin_ = 0;
  std::vector<size_t> breaks_;
};

}  // namespace

std::vector<size_t> FindSentenceBreaks(absl::string_view text) { return Splitter(text).Split(); }

}  // namespace kedge
