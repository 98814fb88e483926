// What Python knows about single characters, for strings of UTF-8.
#ifndef KEDGE_COMMON_JINJA_UNICODE_H_
#define KEDGE_COMMON_JINJA_UNICODE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace kedge::jinja {

// Of the character that begins with `first`. REQUIRES: a character of UTF-8 begins so.
inline size_t CharacterLength(char first) {
  const uint8_t byte = static_cast<uint8_t>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// REQUIRES of the functions below that take text: it is UTF-8.
size_t CountCharacters(absl::string_view text);
// The first character. REQUIRES: text is not empty.
char32_t FirstCharacter(absl::string_view text);
void AppendCharacter(char32_t character, std::string& to);
// `text` with U+FFFD for what is no character.
std::string ValidUtf8(absl::string_view text);

// Case, by the simple mappings of the C library and Unicode's unconditional special ones (upper("ß") is "SS").
std::string ToUpper(char32_t character);
std::string ToLower(char32_t character);
std::string ToTitle(char32_t character);
bool IsUpper(char32_t character);
bool IsLower(char32_t character);
// Has a case: title() begins a word behind a character that has none.
bool IsCased(char32_t character);

bool IsSpace(char32_t character);
bool IsAlpha(char32_t character);
// A decimal digit; one that may be above or within a circle (str.isdigit); a number of any kind (str.isnumeric).
bool IsDecimal(char32_t character);
bool IsDigit(char32_t character);
bool IsNumeric(char32_t character);
bool IsAscii(char32_t character);
// What repr() shows as it is.
bool IsPrintable(char32_t character);
// A line ends behind it (str.splitlines).
bool IsLineBreak(char32_t character);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_UNICODE_H_
