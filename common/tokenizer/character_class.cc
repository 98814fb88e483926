// ASCII stands in a table here, where programs and marked-up text have habits of their own: * _ ` close what they open.
// All else is read off Unicode's properties by one pattern whose groups are the classes.
// Tested by character_class_test.cc.
#include "common/tokenizer/character_class.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string>

#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/base/utf8.h"

namespace kedge {
namespace {

using Class = CharacterClass;

constexpr uint32_t kRemembered = 0x10000;

// One group for each of kClasses, in this order: the first that matches is the class. (Khmer has its full stops there
// since Unicode 15.)
constexpr absl::string_view kPattern =
    R"((\p{Sentence_Terminal}|[\x{2026}\x{17D4}\x{17D5}])|(\p{Terminal_Punctuation})|([\p{Pe}\p{Pf}])|(\p{Ps}))"
    R"(|(\p{Pi})|(\p{N})|((?=[\p{L}\p{M}])[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao})"
    R"(\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}]))"
    R"(|(\p{Ll})|([\p{L}\p{M}]))";
constexpr Class kClasses[] = {Class::kTerminal, Class::kSeparator, Class::kCloser, Class::kOpener, Class::kOpeningQuote,
                              Class::kDigit,    Class::kUnspaced,  Class::kLower,  Class::kLetter};

bool IsLineBreak(char32_t c) { return (c >= 0x0A && c <= 0x0D) || c == 0x85 || c == 0x2028 || c == 0x2029; }

Class OfAscii(char32_t c) {
  if (c >= 'a' && c <= 'z') return Class::kLower;
  if (c >= 'A' && c <= 'Z') return Class::kLetter;
  if (c >= '0' && c <= '9') return Class::kDigit;
  switch (c) {
    case '.':
    case '?':
    case '!':
      return Class::kTerminal;
    case ',':
    case ';':
    case ':':
      return Class::kSeparator;
    case '"':
    case '\'':
    case ')':
    case ']':
    case '}':
    case '*':
    case '_':
    case '`':
      return Class::kCloser;
    case '(':
    case '[':
    case '{':
      return Class::kOpener;
    default:
      return Class::kOther;
  }
}

std::string Utf8Of(char32_t c) {
  std::string text;
  if (c >= 0x10000) {
    text.push_back(static_cast<char>(0xF0 | c >> 18));
    text.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
  } else if (c >= 0x800) {
    text.push_back(static_cast<char>(0xE0 | c >> 12));
  } else {
    text.push_back(static_cast<char>(0xC0 | c >> 6));
  }
  if (c >= 0x800) text.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
  text.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  return text;
}

pcre2_code* Compile() {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern.data()), kPattern.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
  KEDGE_CHECK(code != nullptr);
  return code;
}

}  // namespace

struct CharacterClasses::Matcher {
  Matcher() : code(Compile()), match(pcre2_match_data_create_from_pattern(code, nullptr)) {
    KEDGE_CHECK(match != nullptr);
  }
  ~Matcher() {
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
  Class Find(char32_t c) const {
    const std::string text = Utf8Of(c);
    const int groups = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, PCRE2_NO_UTF_CHECK,
                                   match, nullptr);
    return groups < 2 ? Class::kOther : kClasses[groups - 2];  // the number of the last group that matched, and one
  }
  pcre2_code* const code;
  pcre2_match_data* const match;
};

CharacterClasses::CharacterClasses() = default;
CharacterClasses::~CharacterClasses() = default;

CharacterClass CharacterClasses::Of(char32_t c) {
  if (IsLineBreak(c)) return Class::kLineBreak;
  if (IsWhiteSpace(c)) return Class::kSpace;
  if (c < 0x80) return OfAscii(c);
  if (matcher_ == nullptr) {
    matcher_ = std::make_unique<Matcher>();
    known_.resize(kRemembered);
  }
  if (c >= kRemembered) return matcher_->Find(c);
  if (known_[c] == 0) known_[c] = static_cast<uint8_t>(matcher_->Find(c)) + 1;
  return static_cast<Class>(known_[c] - 1);
}

}  // namespace kedge
