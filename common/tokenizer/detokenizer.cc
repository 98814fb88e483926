// A token may end inside a UTF-8 character, so its text is known only when the next token comes. The rule for bytes
// that are no character is the Unicode Standard's: one U+FFFD per maximal subpart, so the text does not depend on how
// the bytes were cut into tokens.
// Tested by detokenizer_test.cc.
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/utf8.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

Detokenizer::Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens, Begin begin)
    : tokenizer_(tokenizer),
      skip_special_tokens_(skip_special_tokens),
      drop_space_(begin == Begin::kText && tokenizer->adds_space()) {}

std::string Detokenizer::Push(uint32_t id) {
  const bool drop_space = drop_space_;
  drop_space_ = tokenizer_->IsSpecial(id) && tokenizer_->adds_space();
  if (skip_special_tokens_ && tokenizer_->IsSpecial(id)) return "";
  std::string bytes;
  bytes.swap(held_);
  if (id < static_cast<uint32_t>(tokenizer_->vocab_size())) {
    absl::string_view token = tokenizer_->TokenBytes(id);
    if (drop_space && !tokenizer_->IsSpecial(id)) absl::ConsumePrefix(&token, " ");
    absl::StrAppend(&bytes, token);
  } else {
    // A model can have more rows of logits than its vocabulary has tokens. Such an id has no text: show that something
    // was here (no character has this byte).
    bytes.push_back('\xFF');
  }
  std::string text;
  for (absl::string_view rest = bytes; !rest.empty();) {
    const Utf8Head head = ReadUtf8(rest);
    switch (head.kind) {
      case Utf8Head::Kind::kCharacter:
        absl::StrAppend(&text, rest.substr(0, head.length));
        break;
      case Utf8Head::Kind::kInvalid:
        absl::StrAppend(&text, kReplacementCharacter);
        break;
      case Utf8Head::Kind::kIncomplete:
        held_ = std::string(rest);
        break;
    }
    rest.remove_prefix(head.length);
  }
  return text;
}

std::string Detokenizer::Finish() {
  if (held_.empty()) return "";
  held_.clear();
  return std::string(kReplacementCharacter);
}

}  // namespace kedge
