// Where one sentence of a text ends and another begins.
#ifndef KEDGE_COMMON_TOKENIZER_SENTENCE_SPLITTER_H_
#define KEDGE_COMMON_TOKENIZER_SENTENCE_SPLITTER_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace kedge {

// The byte offsets at which a sentence ends and another one follows, ascending: behind its last terminator, quote or
// bracket, before the white space. So the end of the text is never among them.
//
// By rule, without a model or a language:
//   - A run of . ? ! or the ellipsis character ends a sentence if white space follows, and closing quotes and brackets
//     between belong to it. The full-width . ? ! of Chinese and Japanese need no white space.
//   - A blank line ends a sentence (a paragraph, a title, a list entry).
//   - What goes on with a lower-case Latin letter is no new sentence.
//   - A single full stop does not end one after a title or another abbreviation ("Dr.", "e.g.", "U.S."; "No." and the
//     like before a digit), after an initial ("J. Smith", but "I."), and after the number of a list entry ("1. Hoist").
//   - A dot inside a word or a number ("3.14", "kedge.cc") has no white space behind it.
//
// Takes time linear in the text. REQUIRES: text is valid UTF-8.
std::vector<size_t> FindSentenceBreaks(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_SENTENCE_SPLITTER_H_
