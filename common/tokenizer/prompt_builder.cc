// Tested by chat_template_test.cc and chat_golden_test.cc.
#include "common/tokenizer/prompt_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/sentence_splitter.h"

namespace kedge {

void PromptBuilder::Token(uint32_t id, Part part) {
  EncodeText();
  prompt_.ids.push_back(id);
  prompt_.no_anchor.push_back(part == Part::kOpener);
}

void PromptBuilder::Text(absl::string_view text, Part part) {
  if (part == Part::kOpener) openers_.emplace_back(text_.size(), text_.size() + text.size());
  absl::StrAppend(&text_, text);
}

void PromptBuilder::Content(absl::string_view text) {
  if (!anchor_.has_value()) return Text(text);
  bool is_first = true;
  for (const absl::string_view piece : CutAtPlaces(text, FindSentenceBreaks(text))) {
    if (!std::exchange(is_first, false)) Token(*anchor_);
    Text(piece);
  }
}

void PromptBuilder::Mark(absl::string_view spelling, Part part) {
  if (const std::optional<uint32_t> id = tokenizer_->SpecialId(spelling)) {
    Token(*id, part);
  } else {
    Text(spelling, part);
  }
}

absl::StatusOr<PromptTokens> PromptBuilder::Finish() {
  EncodeText();
  if (!status_.ok()) return status_;
  return std::move(prompt_);
}

void PromptBuilder::EncodeText() {
  const absl::StatusOr<std::vector<TextToken>> tokens = tokenizer_->EncodeWithOffsets(text_);
  if (!tokens.ok()) {
    status_.Update(tokens.status());
    return;
  }
  size_t opener = 0;
  for (size_t i = 0; i < tokens->size(); ++i) {
    const size_t begin = (*tokens)[i].begin;
    const size_t next = i + 1 < tokens->size() ? (*tokens)[i + 1].begin : text_.size();
    const size_t end = std::max(next, begin + 1);  // a token without bytes of its own goes with those after it
    while (opener < openers_.size() && openers_[opener].second <= begin) ++opener;
    prompt_.ids.push_back((*tokens)[i].id);
    prompt_.no_anchor.push_back(opener < openers_.size() && openers_[opener].first < end);
  }
  text_.clear();
  openers_.clear();
}

}  // namespace kedge
