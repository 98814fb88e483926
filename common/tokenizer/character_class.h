// What a character is to the places where a text may be cut.
#ifndef KEDGE_COMMON_TOKENIZER_CHARACTER_CLASS_H_
#define KEDGE_COMMON_TOKENIZER_CHARACTER_CLASS_H_

#include <cstdint>
#include <memory>
#include <vector>

namespace kedge {

enum class CharacterClass : uint8_t {
  kOther,         // signs, controls, what no script calls its own
  kLineBreak,     // line feed, carriage return, U+000B, U+000C, U+0085, U+2028, U+2029
  kSpace,         // other white space
  kTerminal,      // ends sentences: Unicode's Sentence_Terminal, and the ellipsis
  kSeparator,     // ends a part of one: other Terminal_Punctuation
  kCloser,        // closing brackets and quotes, and marks that stand on both sides of a text
  kOpener,        // opening brackets
  kOpeningQuote,  // Initial_Punctuation, which some languages close quotes with
  kDigit,         // and what else counts
  kLower,         // lower-case letters
  kLetter,        // other letters, and combining marks
  kUnspaced,      // letters of scripts that set no spaces between words
};

// Letters and digits of scripts that are written with spaces: side by side they are one word.
inline bool IsWordClass(CharacterClass c) {
  return c == CharacterClass::kDigit || c == CharacterClass::kLower || c == CharacterClass::kLetter;
}
inline bool IsWhiteSpaceClass(CharacterClass c) {
  return c == CharacterClass::kLineBreak || c == CharacterClass::kSpace;
}

// Looks characters up in PCRE2's tables and remembers them. Owned by one thread; cheap to make for one text.
class CharacterClasses {
 public:
  CharacterClasses();
  ~CharacterClasses();
  CharacterClasses(const CharacterClasses&) = delete;
  CharacterClasses& operator=(const CharacterClasses&) = delete;

  CharacterClass Of(char32_t c);

 private:
  struct Matcher;
  std::unique_ptr<Matcher> matcher_;
  std::vector<uint8_t> known_;  // of the Basic Multilingual Plane: 0, or the class and one more
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_CHARACTER_CLASS_H_
