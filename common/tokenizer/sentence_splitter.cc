// One walk over the text. At a terminator, what follows is looked at (closing marks, white space, the next sentence's
// first character) and, for a single full stop, the word before it.
//
// The abbreviations known are English ones and some that other languages write before names. What goes on with a
// lower-case letter needs none of them.
// Tested by sentence_splitter_test.cc.
#include "common/tokenizer/sentence_splitter.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/base/utf8.h"

namespace kedge {
namespace {

using Class = CharacterClass;

// In lower case, sorted. Those that also end sentences ("etc.", "Inc.", "a.m.") are known by what follows them.
constexpr absl::string_view kAbbreviations[] = {"adm", "al",  "approx", "ca",  "capt", "cf",   "cmdr", "col",    "dr",
                                                "dra", "est", "gen",    "gov", "hon",  "jr",   "lt",   "messrs", "mme",
                                                "mr",  "mrs", "ms",     "mt",  "pres", "prof", "rep",  "rev",    "sen",
                                                "sgt", "sr",  "sra",    "st",  "viz",  "vs"};
// Only where a digit follows: "no." also ends sentences.
constexpr absl::string_view kBeforeNumbers[] = {"apr", "art", "aug", "ch",  "dec", "eq",   "feb", "fig",
                                                "jan", "jul", "jun", "mar", "no",  "nos",  "nov", "nr",
                                                "oct", "p",   "pp",  "sec", "sep", "sept", "vol"};
constexpr absl::string_view kFullWidthPoint = "\uFF0E";
constexpr size_t kListDigits = 3;  // of a list entry's number: a longer one is a year

template <size_t n>
bool Contains(const absl::string_view (&sorted)[n], absl::string_view word) {
  return std::binary_search(std::begin(sorted), std::end(sorted), word);
}

// ASCII terminators have other uses, within words and numbers; the ellipsis stands within sentences.
bool NeedsGap(char32_t c) { return c < 0x80 || c == U'\u2026'; }

class Splitter {
 public:
  Splitter(absl::string_view text, CharacterClasses* classes) : text_(text), classes_(*classes) {}

  std::vector<TextBreak> Split() {
    size_t at = 0;
    while (at < text_.size()) {
      const Character c = ReadCharacter(text_.substr(at));
      const Class kind = classes_.Of(c.code_point);
      if (kind == Class::kTerminal) {
        at = TakeTerminators(at);
      } else if (IsWhiteSpaceClass(kind)) {
        TextBreak space{.end = at};
        at = SkipSpace(at, &space);
        if (space.lines > 0) {
          Break(space);
        } else if (space.end == sentence_begin_) {
          sentence_begin_ = at;
        }
      } else {
        at += c.length;
      }
    }
    return std::move(breaks_);
  }

 private:
  Class ClassAt(size_t at) const {
    return at < text_.size() ? classes_.Of(ReadCharacter(text_.substr(at)).code_point) : Class::kOther;
  }
  Class ClassBefore(size_t at) const {
    return at > 0 ? classes_.Of(ReadLastCharacter(text_.substr(0, at)).code_point) : Class::kOther;
  }

  // Where the white space from `at` on ends. Fills in what `space` says of it: all fields but `end`.
  size_t SkipSpace(size_t at, TextBreak* space) const {
    *space = {.end = space->end, .line_end = at, .ends_sentence = space->ends_sentence};
    while (at < text_.size()) {
      const Character c = ReadCharacter(text_.substr(at));
      const Class kind = classes_.Of(c.code_point);
      if (!IsWhiteSpaceClass(kind)) break;
      const bool ends_pair = c.code_point == '\n' && at > 0 && text_[at - 1] == '\r';
      at += c.length;
      if (kind != Class::kLineBreak) continue;
      space->line_end = at;
      if (!ends_pair) ++space->lines;
    }
    return space->next = at;
  }

  void Break(const TextBreak& found) {
    breaks_.push_back(found);
    sentence_begin_ = found.next;
  }

  // Looks at the terminators from `begin` on; returns where to go on.
  size_t TakeTerminators(size_t begin) {
    size_t end = begin;
    bool needs_gap = true;
    for (; ClassAt(end) == Class::kTerminal; end += ReadCharacter(text_.substr(end)).length) {
      needs_gap = NeedsGap(ReadCharacter(text_.substr(end)).code_point);
    }
    const bool is_single_stop = text_.substr(begin, end - begin) == ".";
    end = SkipClosers(end);
    TextBreak found{.end = end, .ends_sentence = true};
    SkipSpace(end, &found);
    const Class next = ClassAt(found.next);
    if (found.next == end && end < text_.size()) {  // no gap
      if (needs_gap && next != Class::kUnspaced && !absl::StartsWith(text_.substr(end), "</")) return end;
      const bool is_point = text_.substr(begin, end - begin) == kFullWidthPoint;
      if (is_point && next == Class::kDigit && ClassBefore(begin) == Class::kDigit) return end;
    }
    if (found.next < text_.size() && found.lines < 2) {
      if (needs_gap && next == Class::kLower) found.ends_sentence = false;
      // French sets a space before ? and !, and programs do before operators.
      const bool is_letter = next == Class::kLetter || next == Class::kUnspaced;
      if (needs_gap && IsWhiteSpaceClass(ClassBefore(begin)) && !is_letter) found.ends_sentence = false;
      if (is_single_stop && IsAbbreviated(begin, next)) found.ends_sentence = false;
    }
    if (found.ends_sentence || found.lines > 0) Break(found);
    return found.next;
  }

  // Behind closing marks, and behind a note's number: "so it was.[12] Then". Quotes that open sentences elsewhere close
  // one only where a gap follows.
  size_t SkipClosers(size_t at) const {
    while (at < text_.size()) {
      const Character c = ReadCharacter(text_.substr(at));
      const Class kind = classes_.Of(c.code_point);
      if (kind == Class::kCloser) {
        at += c.length;
      } else if (kind == Class::kOpeningQuote &&
                 (at + c.length == text_.size() || IsWhiteSpaceClass(ClassAt(at + c.length)))) {
        at += c.length;
      } else if (c.code_point == '[') {
        size_t digits = at + 1;
        while (digits < text_.size() && absl::ascii_isdigit(text_[digits])) ++digits;
        if (digits == at + 1 || digits == text_.size() || text_[digits] != ']') break;
        at = digits + 1;
      } else {
        break;
      }
    }
    return at;
  }

  // Whether the full stop at `at` belongs to the word before it; `next` is what comes after it.
  bool IsAbbreviated(size_t at, Class next) const {
    size_t begin = at, letters = 0;
    bool is_number = true;  // digits, with dots between
    while (begin > sentence_begin_) {
      const Character c = ReadLastCharacter(text_.substr(0, begin));
      const Class kind = classes_.Of(c.code_point);
      if (c.code_point != '.' && !IsWordClass(kind)) break;
      is_number = is_number && (c.code_point == '.' || kind == Class::kDigit);
      letters += c.code_point != '.' && kind != Class::kDigit ? 1 : 0;
      begin -= c.length;
    }
    const absl::string_view word = text_.substr(begin, at - begin);
    if (word.empty()) return false;
    if (begin > sentence_begin_) {  // as in "kedge.cc/x."
      const Class before = ClassBefore(begin);
      const bool is_opener = before == Class::kOpener || before == Class::kOpeningQuote || text_[begin - 1] == '"' ||
                             text_[begin - 1] == '\'' || text_[begin - 1] == '-';
      if (!IsWhiteSpaceClass(before) && !is_opener) return false;
    }
    if (is_number) return begin == sentence_begin_ && word.substr(0, word.find('.')).size() <= kListDigits;
    const Character first = ReadCharacter(word);
    if (letters == 1 && first.length == word.size()) return word != "I";  // an initial
    if (!absl::ascii_isalpha(word[0])) return false;
    // Letters with dots between: e.g., U.S., J.R.
    bool is_dotted = word.size() % 2 == 1;
    for (size_t i = 1; is_dotted && i < word.size(); i += 2) {
      is_dotted = word[i] == '.' && absl::ascii_isalpha(word[i + 1]);
    }
    if (is_dotted) return true;
    const std::string lower = absl::AsciiStrToLower(word);
    return Contains(kAbbreviations, lower) || (next == Class::kDigit && Contains(kBeforeNumbers, lower));
  }

  const absl::string_view text_;
  CharacterClasses& classes_;
  size_t sentence_begin_ = 0;
  std::vector<TextBreak> breaks_;
};

}  // namespace

std::vector<TextBreak> FindTextBreaks(absl::string_view text, CharacterClasses* classes) {
  return Splitter(text, classes).Split();
}

std::vector<size_t> FindSentenceBreaks(absl::string_view text) {
  CharacterClasses classes;
  std::vector<size_t> places;
  for (const TextBreak& found : FindTextBreaks(text, &classes)) {
    if (found.end > 0 && found.next < text.size() && (found.ends_sentence || found.lines >= 2))
      places.push_back(found.end);
  }
  return places;
}

}  // namespace kedge
