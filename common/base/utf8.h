// UTF-8 as the Unicode Standard (section 3.9) defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef KEDGE_COMMON_BASE_UTF8_H_
#define KEDGE_COMMON_BASE_UTF8_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace kedge {

// U+FFFD, which stands for bytes that are no character.
inline constexpr absl::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// What stands at the front of some bytes.
struct Utf8Head {
  enum class Kind {
    kCharacter,   // a whole character of `length` bytes
    kIncomplete,  // all the bytes are the beginning of a character; `length` is their number, at most 3
    kInvalid,     // no character begins so; `length` is the maximal subpart that one U+FFFD replaces, 1 to 3
  };
  Kind kind;
  size_t length;
};

// REQUIRES: bytes is not empty.
Utf8Head ReadUtf8(absl::string_view bytes);

// A character of valid text.
struct Character {
  char32_t code_point;
  size_t length;  // bytes
};

// The first and the last one. REQUIRES: text is valid UTF-8 and not empty.
Character ReadCharacter(absl::string_view text);
Character ReadLastCharacter(absl::string_view text);

// As Python's str.strip() and Jinja's `trim` know it: Unicode's White_Space characters and U+001C to U+001F.
bool IsWhiteSpace(char32_t code_point);

// The offset of the first byte of `text` that is not part of a valid character; nullopt when all of it is valid.
std::optional<size_t> FindInvalidUtf8(absl::string_view text);

// `bytes` in one line that a terminal only shows, for errors and logs that repeat what came from outside: control
// characters and bytes that are no UTF-8 as escapes (\n, \x1b, \u2028), all else as it is.
std::string Printable(absl::string_view bytes);

// The same, at most `most` bytes of it: what is longer ends with "...". REQUIRES: most >= 3.
std::string PrintableLine(absl::string_view bytes, size_t most);

// Text as a terminal may have it: with U+FFFD for each control character (C0 but line feed and tab, DEL, C1) and for
// bytes that are no UTF-8.
std::string ForTerminal(absl::string_view text);

// `text` without the white space at its begin, at its end, at both. REQUIRES: text is valid UTF-8.
absl::string_view StripWhiteSpaceLeft(absl::string_view text);
absl::string_view StripWhiteSpaceRight(absl::string_view text);
absl::string_view StripWhiteSpace(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_UTF8_H_
