// Tokens between two special ones are one text. Its breaks (sentence_splitter.h) are kEnd for the token that holds what
// is before them; every other place between two tokens is judged by the characters on its two sides.
// Tested by cut_strength_test.cc.
#include "common/tokenizer/cut_strength.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/anchor/ranges.h"
#include "common/base/utf8.h"
#include "common/tokenizer/character_class.h"
#include "common/tokenizer/sentence_splitter.h"

namespace kedge {
namespace {

using Class = CharacterClass;

// Ids that a client chose spell any bytes. Each byte that is of no character counts as a control character.
std::string WithoutInvalid(std::string text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Head head = ReadUtf8(absl::string_view(text).substr(at));
    if (head.kind != Utf8Head::Kind::kCharacter) std::fill_n(text.begin() + at, head.length, '\x1A');
    at += head.length;
  }
  return text;
}

// One text and the places in it. REQUIRES: it is valid UTF-8.
class Places {
 public:
  Places(absl::string_view text, CharacterClasses* classes) : text_(text), classes_(*classes) {}

  // Of the token [begin, end): that of its end, or of a clause's end within it that only signs follow, as in "]},".
  // REQUIRES: 0 < end < text.size().
  CutStrength StrengthOf(size_t begin, size_t end) const {
    CutStrength best = StrengthAt(end);
    for (size_t at = end;
         at > begin && static_cast<uint8_t>(text_[at - 1]) < 0x80 && !absl::ascii_isalnum(text_[at - 1]); --at) {
      if (at == end || at == 0) continue;
      const CutStrength inner = StrengthAt(at);
      if (inner >= CutStrength::kClause) best = std::max(best, inner);
    }
    return best;
  }

 private:
  // REQUIRES: 0 < at < text.size().
  CutStrength StrengthAt(size_t at) const {
    if ((static_cast<uint8_t>(text_[at]) & 0xC0) == 0x80) return CutStrength::kNever;
    // Within white space; its two ends alone look at all of it, so that this takes linear time.
    if (IsWhiteSpaceClass(Before(at).kind) && IsWhiteSpaceClass(After(at).kind)) return CutStrength::kSpace;
    size_t left_end = at;  // of the last character that is no white space
    while (left_end > 0 && IsWhiteSpaceClass(Before(left_end).kind)) left_end -= Before(left_end).length;
    size_t right = at;
    while (right < text_.size() && IsWhiteSpaceClass(After(right).kind)) right += After(right).length;
    const bool gap = left_end < right;
    const bool wide = text_.substr(left_end, right - left_end).size() > 1;  // also: one wide space
    const bool tab = text_.substr(left_end, right - left_end).find('\t') != absl::string_view::npos;
    if (left_end == 0 || right == text_.size()) return CutStrength::kSpace;
    const CutStrength by_sign = StrengthBehind(left_end, gap, right);
    return std::max({by_sign, gap ? CutStrength::kSpace : CutStrength::kNever,
                     wide ? CutStrength::kBracket : CutStrength::kNever,
                     tab ? CutStrength::kClause : CutStrength::kNever});
  }

  struct Side {
    char32_t code_point;
    Class kind;
    size_t length;
  };
  Side Before(size_t at) const {
    const Character c = ReadLastCharacter(text_.substr(0, at));
    return {c.code_point, classes_.Of(c.code_point), c.length};
  }
  Side After(size_t at) const {
    const Character c = ReadCharacter(text_.substr(at));
    return {c.code_point, classes_.Of(c.code_point), c.length};
  }
  bool IsGrouped(size_t comma_end) const;
  CutStrength StrengthBehind(size_t end, bool gap, size_t right) const;

  const absl::string_view text_;
  CharacterClasses& classes_;
};

// 1,000,000: exactly three digits follow the comma, and at most three are before it.
bool Places::IsGrouped(size_t comma_end) const {
  const auto is_digit = [this](size_t at) { return at < text_.size() && absl::ascii_isdigit(text_[at]); };
  size_t after = 0, before = 0;
  while (after <= 3 && is_digit(comma_end + after)) ++after;
  while (before <= 3 && before + 2 <= comma_end && is_digit(comma_end - 2 - before)) ++before;
  return after == 3 && before >= 1 && before <= 3;
}

// Behind the sign that ends at `end`; `right`: where the next character begins, after a gap or not.
CutStrength Places::StrengthBehind(size_t end, bool gap, size_t right) const {
  const Side left = Before(end), next = After(right);
  const bool joins_word = !gap && IsWordClass(next.kind);
  const bool between_digits =
      !gap && next.kind == Class::kDigit && end > left.length && Before(end - left.length).kind == Class::kDigit;
  if (!gap) {  // not before what closes; a quote behind a separator or an opening bracket opens
    const bool opens = left.kind == Class::kSeparator || left.kind == Class::kOpener;
    const bool closes =
        next.kind == Class::kSeparator || next.kind == Class::kTerminal || (next.kind == Class::kCloser && !opens);
    if (closes) return CutStrength::kJoint;
  }
  switch (left.kind) {
    case Class::kTerminal:
      return gap ? CutStrength::kStop : joins_word ? CutStrength::kJoint : CutStrength::kSign;
    case Class::kSeparator: {
      const bool is_colon = left.code_point == ':' || left.code_point == U'\uFF1A';
      if (is_colon) return between_digits || joins_word ? CutStrength::kJoint : CutStrength::kSpace;
      if (left.code_point == ';' || left.code_point == U'\uFF1B' || left.code_point == U'\u061B') {
        return CutStrength::kStrong;
      }
      if (between_digits && IsGrouped(end)) return CutStrength::kJoint;
      const bool behind_bracket = end > left.length && (text_[end - 2] == '}' || text_[end - 2] == ']');
      return behind_bracket ? CutStrength::kStrong : CutStrength::kClause;
    }
    case Class::kCloser:
      if (left.code_point == '}') return CutStrength::kStrong;
      return joins_word ? CutStrength::kJoint : CutStrength::kBracket;
    case Class::kOpener:
      return left.code_point == '{' ? CutStrength::kBracket : CutStrength::kJoint;
    case Class::kOpeningQuote:
      return CutStrength::kJoint;
    case Class::kDigit:
    case Class::kLower:
    case Class::kLetter:
      if (joins_word) return CutStrength::kWord;
      if (next.code_point == '-') return CutStrength::kJoint;
      return next.kind == Class::kOther || next.kind == Class::kOpener ? CutStrength::kSign : CutStrength::kJoint;
    default:
      break;
  }
  if (left.code_point == '|' && gap) return CutStrength::kClause;
  if (left.code_point == '>') return CutStrength::kBracket;
  return left.kind == Class::kOther && joins_word ? CutStrength::kJoint : CutStrength::kSign;
}

// Tokens [first, ends.size()) of the prompt are this text; `ends`: where each of them ends in it.
void JudgeText(const std::string& text, const std::vector<size_t>& ends, size_t first, CharacterClasses* classes,
               std::vector<CutStrength>* strengths) {
  const Places places(text, classes);
  for (size_t i = 0, begin = 0; i + 1 < ends.size(); begin = ends[i++]) {
    if (ends[i] > 0) (*strengths)[first + i] = places.StrengthOf(begin, ends[i]);
  }
  for (const TextBreak& found : FindTextBreaks(text, classes)) {
    const size_t place = found.lines > 0 ? found.line_end : found.end;
    const auto token = std::lower_bound(ends.begin(), ends.end(), place);
    (*strengths)[first + (token - ends.begin())] = CutStrength::kEnd;
  }
}

}  // namespace

std::vector<CutStrength> FindCutStrengths(const Tokenizer& tokenizer, const PromptTokens& prompt) {
  const size_t size = prompt.ids.size();
  std::vector<CutStrength> strengths(size, CutStrength::kNever);
  CharacterClasses classes;
  const auto is_text = [&](uint32_t id) {
    return id < static_cast<uint32_t>(tokenizer.vocab_size()) && !tokenizer.IsSpecial(id);
  };
  const auto ends_generation = [&](uint32_t id) {
    return std::binary_search(tokenizer.end_ids().begin(), tokenizer.end_ids().end(), id);
  };
  for (size_t i = 0; i < size;) {
    if (!is_text(prompt.ids[i])) {
      if (ends_generation(prompt.ids[i])) strengths[i] = CutStrength::kEnd;
      ++i;
      continue;
    }
    std::string text;
    std::vector<size_t> ends;
    const size_t first = i;
    for (; i < size && is_text(prompt.ids[i]); ++i) {
      absl::StrAppend(&text, tokenizer.TokenBytes(prompt.ids[i]));
      ends.push_back(text.size());
    }
    JudgeText(WithoutInvalid(std::move(text)), ends, first, &classes, &strengths);
    if (i < size && !ends_generation(prompt.ids[i])) strengths[i - 1] = CutStrength::kEnd;
  }
  for (const std::vector<PositionRange>& pieces : prompt.messages) {
    if (!pieces.empty() && pieces.front().begin > 0) strengths[pieces.front().begin - 1] = CutStrength::kEnd;
  }
  for (size_t i = 0; i < prompt.no_anchor.size(); ++i) {
    if (prompt.no_anchor[i]) strengths[i] = CutStrength::kNever;
  }
  return strengths;
}

}  // namespace kedge
