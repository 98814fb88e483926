// Tested by chat_template_test.cc and chat_golden_test.cc.
#include "common/tokenizer/chat_encoder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/anchor/ranges.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/chat_input.h"
#include "common/tokenizer/sentence_splitter.h"

namespace kedge {
namespace {

// One prompt in the making.
class ChatEncoder {
 public:
  ChatEncoder(const Tokenizer& tokenizer, const RenderedChat& chat, std::optional<uint32_t> anchor)
      : tokenizer_(tokenizer), chat_(chat), anchor_(anchor) {
    prompt_.messages.resize(chat.messages);
  }

  absl::StatusOr<PromptTokens> Encode() {
    if (const std::optional<uint32_t> bos = tokenizer_.bos_to_add(); bos.has_value() && !BeginsWith(*bos)) {
      AddToken(*bos, /*opens=*/false);
    }
    for (const RenderedChat::Run& run : chat_.runs) {
      if (run.origin == jinja::kTemplate) {
        AddTemplate(run);
      } else if (IsContent(run.origin) && anchor_.has_value()) {
        AddSentences(run);
      } else {
        AddMessage(run, run.origin, /*goes_on=*/false);
      }
    }
    EncodeText();
    if (!status_.ok()) return status_;
    for (size_t i = 0; i <= chat_.turn && i < prompt_.messages.size(); ++i) BeginTurn(i);
    for (const size_t i : chat_.user) BeginTurn(i);
    prompt_.user = PartsOf(chat_.user);
    prompt_.system = PartsOf(chat_.system);
    return std::move(prompt_);
  }

 private:
  bool BeginsWith(uint32_t bos) const {
    if (chat_.runs.empty() || chat_.runs.front().origin != jinja::kTemplate) return false;
    const std::optional<SpecialSpan> special = tokenizer_.FindSpecial(TextOf(chat_.runs.front()));
    return special.has_value() && special->begin == 0 && special->id == bos;
  }

  void BeginTurn(size_t message) {
    if (!prompt_.messages[message].empty()) prompt_.turn_begin = prompt_.messages[message].front().begin;
  }

  // Templates may write messages in another order than that of the request, and two may share a token.
  std::vector<PositionRange> PartsOf(const std::vector<size_t>& messages) const {
    std::vector<PositionRange> parts;
    for (const size_t i : messages) {
      parts.insert(parts.end(), prompt_.messages[i].begin(), prompt_.messages[i].end());
    }
    return UnionOf(std::move(parts));
  }

  absl::string_view TextOf(ByteSpan span) const {
    return absl::string_view(chat_.text).substr(span.begin, span.end - span.begin);
  }

  // The parts of the span that open an answer.
  std::vector<ByteSpan> OpenersIn(ByteSpan span) const {
    std::vector<ByteSpan> parts;
    auto opener = std::partition_point(chat_.openers.begin(), chat_.openers.end(),
                                       [&](const ByteSpan& opener) { return opener.end <= span.begin; });
    for (; opener != chat_.openers.end() && opener->begin < span.end; ++opener) {
      parts.push_back({std::max(opener->begin, span.begin), std::min(opener->end, span.end)});
    }
    return parts;
  }

  void AddTemplate(ByteSpan span) {
    while (const std::optional<SpecialSpan> special = tokenizer_.FindSpecial(TextOf(span))) {
      const ByteSpan spelling{span.begin + special->begin, span.begin + special->end};
      AddText({span.begin, spelling.begin});
      AddToken(special->id, !OpenersIn(spelling).empty());
      span.begin = spelling.end;
    }
    AddText(span);
  }

  void AddToken(uint32_t id, bool opens) {
    EncodeText();
    prompt_.ids.push_back(id);
    prompt_.no_anchor.push_back(opens);
  }

  void AddText(ByteSpan span) {
    for (const ByteSpan& part : OpenersIn(span)) {
      openers_.push_back({text_.size() + part.begin - span.begin, text_.size() + part.end - span.begin});
    }
    absl::StrAppend(&text_, TextOf(span));
  }

  // `goes_on`: an anchor has cut this from what was added of the message before.
  void AddMessage(ByteSpan span, jinja::Origin origin, bool goes_on) {
    const size_t begin = text_.size();
    AddText(span);
    if (const std::optional<size_t> message = MessageOf(origin)) {
      parts_.push_back({*message, {begin, text_.size()}, goes_on});
    } else {
      has_tools_ = true;
    }
  }

  void AddSentences(const RenderedChat::Run& run) {
    const absl::string_view text = TextOf(run);
    bool goes_on = false;
    for (const absl::string_view sentence : CutAtPlaces(text, FindSentenceBreaks(text))) {
      if (goes_on) AddToken(*anchor_, /*opens=*/false);
      const size_t begin = run.begin + static_cast<size_t>(sentence.data() - text.data());
      AddMessage({begin, begin + sentence.size()}, run.origin, std::exchange(goes_on, true));
    }
  }

  // What was added since the last token. A token that is in part of an opener is marked.
  void EncodeText() {
    const absl::StatusOr<std::vector<TextToken>> tokens = tokenizer_.EncodeWithOffsets(text_);
    if (!tokens.ok()) {
      status_.Update(tokens.status());
      return;
    }
    const uint32_t first = static_cast<uint32_t>(prompt_.ids.size());
    const auto range_of = [&](ByteSpan span) {
      const PositionRange range = TokensOfBytes(*tokens, text_.size(), span.begin, span.end);
      return PositionRange{first + range.begin, first + range.end};
    };
    for (const TextToken& token : *tokens) prompt_.ids.push_back(token.id);
    prompt_.no_anchor.resize(prompt_.ids.size());
    for (const ByteSpan& opener : openers_) {
      const PositionRange marked = range_of(opener);
      std::fill(prompt_.no_anchor.begin() + marked.begin, prompt_.no_anchor.begin() + marked.end, true);
    }
    uint32_t beside = first;  // where what is no message goes on
    const auto add_tools = [&](uint32_t end) {
      if (has_tools_ && beside < end) prompt_.tools.push_back({beside, end});
    };
    for (const Part& part : parts_) {
      const PositionRange range = range_of(part.span);
      if (range.begin == range.end) continue;
      add_tools(range.begin);
      beside = range.end;
      std::vector<PositionRange>& message = prompt_.messages[part.message];
      if (!message.empty() && (part.goes_on || range.begin <= message.back().end)) {
        message.back().end = range.end;
      } else {
        message.push_back(range);
      }
    }
    add_tools(static_cast<uint32_t>(prompt_.ids.size()));
    text_.clear();
    openers_.clear();
    parts_.clear();
    has_tools_ = false;
  }

  const Tokenizer& tokenizer_;
  const RenderedChat& chat_;
  const std::optional<uint32_t> anchor_;
  PromptTokens prompt_;
  absl::Status status_;
  std::string text_;               // since the last token
  std::vector<ByteSpan> openers_;  // in text_
  struct Part {
    size_t message;
    ByteSpan span;
    bool goes_on;
  };
  std::vector<Part> parts_;  // in text_
  bool has_tools_ = false;   // text_ holds something of the client that is no message
};

}  // namespace

absl::StatusOr<PromptTokens> EncodeChat(const Tokenizer& tokenizer, const RenderedChat& chat,
                                        std::optional<uint32_t> anchor) {
  return ChatEncoder(tokenizer, chat, anchor).Encode();
}

}  // namespace kedge
