// Characters newer than the Unicode that PCRE2 knows.
#ifndef KEDGE_COMMON_TOKENIZER_NEW_CHARACTERS_H_
#define KEDGE_COMMON_TOKENIZER_NEW_CHARACTERS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace kedge {

// If `text` has letters, digits or marks that Unicode 15 and 16 added: true, and `*older` is the text with each of them
// replaced by an older character of the same general category and of as many bytes, so that a pattern cuts both texts
// at the same places. What is newer still (Unicode 17) stays what no class has. Else false, and `*older` stays as it
// is. REQUIRES: text is valid UTF-8.
bool ReplaceNewCharacters(absl::string_view text, std::string* older);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_NEW_CHARACTERS_H_
