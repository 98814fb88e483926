// Which tokens close a sentence, or a clause, is read off their text, so that the sets exist for every vocabulary.
//
// A token belongs to `sentence` if its text, without spaces (U+0020) at both ends, is not empty, has only the
// characters . ? ! " ' ) the full-width 。！？ and line feed, and at least one of . ? ! their full-width forms or
// line feed: so ." and .) and an empty line close a sentence, while a lone quote does not. `separators` also allows
// , ; : ( - and asks for at least one of . , ; : ? ! a full-width form or line feed. Both hold the ids that end a
// generation, since a turn's end closes what was said in it; no other special token belongs to either.
// Tested by anchor_sets_test.cc.
#include <algorithm>

#include "absl/types/span.h"
#include "common/tokenizer/tokenizer.h"
#include "common/tokenizer/utf8.h"

namespace kedge {
namespace {

// Characters as UTF-8. A token needs at least one closing character; the others may stand beside it.
constexpr absl::string_view kSentenceClosing[] = {".", "?", "!", "。", "！", "？", "\n"};
constexpr absl::string_view kSentenceOther[] = {"\"", "'", ")"};
constexpr absl::string_view kSeparatorClosing[] = {".", "?", "!", "。", "！", "？", "\n", ",", ";", ":"};
constexpr absl::string_view kSeparatorOther[] = {"\"", "'", ")", "(", "-"};

bool Contains(absl::Span<const absl::string_view> characters, absl::string_view character) {
  return std::find(characters.begin(), characters.end(), character) != characters.end();
}

absl::string_view StripSpaces(absl::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// True if `text` has only characters of the two lists, and at least one of `closing`.
bool Closes(absl::string_view text, absl::Span<const absl::string_view> closing,
            absl::Span<const absl::string_view> other) {
  bool closes = false;
  while (!text.empty()) {
    const Utf8Head head = ReadUtf8(text);
    const absl::string_view character = text.substr(0, head.length);
    if (Contains(closing, character)) {
      closes = true;
    } else if (!Contains(other, character)) {
      return false;
    }
    text.remove_prefix(head.length);
  }
  return closes;
}

}  // namespace

AnchorSets FindAnchorSets(const Tokenizer& tokenizer) {
  AnchorSets sets;
  const std::vector<uint32_t>& ends = tokenizer.end_ids();
  for (uint32_t id = 0; id < static_cast<uint32_t>(tokenizer.vocab_size()); ++id) {
    if (std::binary_search(ends.begin(), ends.end(), id)) {
      sets.sentence.push_back(id);
      sets.separators.push_back(id);
      continue;
    }
    if (tokenizer.IsSpecial(id)) continue;
    const absl::string_view bytes = tokenizer.TokenBytes(id);
    const absl::string_view text = StripSpaces(bytes);
    if (Closes(text, kSentenceClosing, kSentenceOther)) sets.sentence.push_back(id);
    if (Closes(text, kSeparatorClosing, kSeparatorOther)) sets.separators.push_back(id);
    // Of a SentencePiece vocabulary's two tokens "." text has the one that is no byte.
    if (!sets.full_stop.has_value() && bytes == "." && !tokenizer.IsByte(id)) sets.full_stop = id;
  }
  return sets;
}

}  // namespace kedge
