// Which tokens close a sentence, or a clause, is read off their text, so that the sets exist for every vocabulary.
//
// A token belongs to `sentence` if its text holds a line break of any form, or ends, but for white space and closing
// quotes and brackets, in a sentence terminal of any script, and has no other sign before it than such marks: so ." and
// .) do, and what programs write (!= (! /.) does not. `separators` holds these and tokens that are nothing but marks,
// a comma, semicolon, colon or what other scripts have for them at least: ), and ," too, with ( and - beside it. Both
// hold the ids that end a generation, since a turn's end closes what was said in it; no other special token belongs to
// either.
//
// A token alone does not say whether a stop is within a number or a name. Where the text is there, `anchors=text` looks
// at it (sequence_ends.h).
// Tested by anchor_sets_test.cc.
#include <algorithm>
#include <string>
#include <vector>

#include "common/base/utf8.h"
#include "common/tokenizer/character_class.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

using Class = CharacterClass;

// A character of a token, or bytes that are none: kOther.
struct Sign {
  Class kind;
  char32_t code_point;
};

std::vector<Sign> SignsOf(absl::string_view text, CharacterClasses* classes) {
  std::vector<Sign> signs;
  while (!text.empty()) {
    const Utf8Head head = ReadUtf8(text);
    Sign sign{Class::kOther, 0};
    if (head.kind == Utf8Head::Kind::kCharacter) {
      sign.code_point = ReadCharacter(text).code_point;
      // _ * ` open as often as they close, where nothing but the token is seen.
      const bool is_mark = sign.code_point == '_' || sign.code_point == '*' || sign.code_point == '`';
      if (!is_mark) sign.kind = classes->Of(sign.code_point);
    }
    signs.push_back(sign);
    text.remove_prefix(head.length);
  }
  return signs;
}

bool IsClosing(const Sign& sign) { return sign.kind == Class::kCloser || sign.kind == Class::kSpace; }

bool ClosesSentence(const std::vector<Sign>& text) {
  const auto is_line_break = [](const Sign& sign) { return sign.kind == Class::kLineBreak; };
  if (std::any_of(text.begin(), text.end(), is_line_break)) return true;
  auto end = text.end();
  while (end != text.begin() && IsClosing(*(end - 1))) --end;
  return end != text.begin() && (end - 1)->kind == Class::kTerminal &&
         std::all_of(text.begin(), end, [](const Sign& sign) {
           return sign.kind == Class::kTerminal || sign.kind == Class::kUnspaced || IsWordClass(sign.kind) ||
                  IsClosing(sign);
         });
}

bool ClosesClause(const std::vector<Sign>& text) {
  const auto closes = [](const Sign& sign) { return sign.kind == Class::kSeparator || sign.kind == Class::kTerminal; };
  const auto may_stand = [&](const Sign& sign) {
    return closes(sign) || IsClosing(sign) || sign.code_point == '(' || sign.code_point == '-';
  };
  return std::any_of(text.begin(), text.end(), closes) && std::all_of(text.begin(), text.end(), may_stand);
}

}  // namespace

AnchorSets FindAnchorSets(const Tokenizer& tokenizer) {
  AnchorSets sets;
  CharacterClasses classes;
  const std::vector<uint32_t>& ends = tokenizer.end_ids();
  for (uint32_t id = 0; id < static_cast<uint32_t>(tokenizer.vocab_size()); ++id) {
    if (std::binary_search(ends.begin(), ends.end(), id)) {
      sets.sentence.push_back(id);
      sets.separators.push_back(id);
      continue;
    }
    if (tokenizer.IsSpecial(id)) continue;
    const absl::string_view bytes = tokenizer.TokenBytes(id);
    const std::vector<Sign> text = SignsOf(bytes, &classes);
    const bool closes_sentence = ClosesSentence(text);
    if (closes_sentence) sets.sentence.push_back(id);
    if (closes_sentence || ClosesClause(text)) sets.separators.push_back(id);
    // Of a SentencePiece vocabulary's two tokens "." text has the one that is no byte.
    if (!sets.full_stop.has_value() && bytes == "." && !tokenizer.IsByte(id)) sets.full_stop = id;
  }
  return sets;
}

}  // namespace kedge
