// Where one sentence of a text ends and another begins.
#ifndef KEDGE_COMMON_TOKENIZER_SENTENCE_SPLITTER_H_
#define KEDGE_COMMON_TOKENIZER_SENTENCE_SPLITTER_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/tokenizer/character_class.h"

namespace kedge {

// A place where a sentence ends, or a line.
struct TextBreak {
  size_t end = 0;       // behind the last character of it: a terminator, a quote, a bracket
  size_t line_end = 0;  // behind the last line break of the white space that follows; `end` where there is none
  size_t next = 0;      // where text goes on
  bool ends_sentence = false;
  int lines = 0;  // line breaks in the white space: CR and LF together are one
};

// All of them, ascending; the end of a text is one if a sentence or a line ends there.
//
// By rule, without a model or a language:
//   - A run of terminators, those of any script, ends a sentence, and closing quotes, brackets and the marks * _ `
//   belong
//     to it, as does a note's number in brackets. After . ? ! and the ellipsis white space must follow, or a letter of
//     a script that is written without spaces, or a closing tag (</p>); other terminators need none, but for a
//     full-width point between two digits.
//   - What goes on with a lower-case letter is no new sentence. After . ? ! and the ellipsis with white space before
//     them, only what goes on with another letter is one ("port ?? 80").
//   - A single full stop does not end one after a title or another abbreviation ("Dr.", "e.g.", "U.S."; "No." and the
//     like before a digit), after an initial ("J. Smith", but "I."), and after the number of a list entry ("1. Hoist").
//   - A dot inside a word or a number ("3.14", "kedge.cc") has no white space behind it.
//
// Takes time linear in the text. REQUIRES: text is valid UTF-8.
std::vector<TextBreak> FindTextBreaks(absl::string_view text, CharacterClasses* classes);

// The byte offsets at which a sentence ends and another one follows, ascending: behind its last terminator, quote or
// bracket, before the white space. A blank line ends one too (a paragraph, a title, a list entry), the end of the text
// does not.
std::vector<size_t> FindSentenceBreaks(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_SENTENCE_SPLITTER_H_
