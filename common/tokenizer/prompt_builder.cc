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

void PromptBuilder::Content(size_t message, absl::string_view text) {
  const auto add = [&](absl::string_view piece) {
    contents_.push_back({message, text_.size(), text_.size() + piece.size()});
    Text(piece);
  };
  if (!anchor_.has_value()) return add(text);
  bool is_first = true;
  for (const absl::string_view piece : CutAtPlaces(text, FindSentenceBreaks(text))) {
    if (!std::exchange(is_first, false)) Token(*anchor_);
    add(piece);
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
  const uint32_t first = static_cast<uint32_t>(prompt_.ids.size());
  for (const TextToken& token : *tokens) prompt_.ids.push_back(token.id);
  prompt_.no_anchor.resize(prompt_.ids.size());
  for (const auto& [begin, end] : openers_) {
    const PositionRange marked = TokensOfBytes(*tokens, text_.size(), begin, end);
    std::fill(prompt_.no_anchor.begin() + first + marked.begin, prompt_.no_anchor.begin() + first + marked.end, true);
  }
  for (const ContentSpan& content : contents_) {
    const PositionRange range = TokensOfBytes(*tokens, text_.size(), content.begin, content.end);
    prompt_.messages.resize(std::max(prompt_.messages.size(), content.message + 1));
    PositionRange& message = prompt_.messages[content.message];  // anchors may have cut it into several pieces
    if (message.begin == message.end) message.begin = first + range.begin;
    message.end = first + range.end;
  }
  text_.clear();
  openers_.clear();
  contents_.clear();
}

PositionRange TokensOfBytes(absl::Span<const TextToken> tokens, size_t text_size, size_t begin, size_t end) {
  // A token without bytes of its own goes with those after it.
  const auto ends_before = [&](const TextToken& token) {
    const size_t next = &token != &tokens.back() ? (&token)[1].begin : text_size;
    return std::max(next, token.begin + 1) <= begin;
  };
  const auto first = std::partition_point(tokens.begin(), tokens.end(), ends_before);
  const auto last =
      begin < end ? std::partition_point(first, tokens.end(), [&](const TextToken& token) { return token.begin < end; })
                  : first;
  return {static_cast<uint32_t>(first - tokens.begin()), static_cast<uint32_t>(last - tokens.begin())};
}

}  // namespace kedge
