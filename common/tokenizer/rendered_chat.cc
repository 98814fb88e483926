// Tested by rendered_chat_test.cc, chat_template_test.cc and chat_golden_test.cc.
#include "common/tokenizer/rendered_chat.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "common/base/check.h"
#include "common/tokenizer/chat_input.h"

namespace kedge {
namespace {

size_t CommonPrefix(absl::string_view a, absl::string_view b) {
  return std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first - a.begin();
}

absl::string_view CommonSuffix(absl::string_view a, absl::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  const size_t size = std::mismatch(a.rbegin(), a.rbegin() + most, b.rbegin()).first - a.rbegin();
  return a.substr(a.size() - size);
}

// The last place of `part` within `span` that the template wrote.
std::optional<ByteSpan> FindLast(const RenderedChat& chat, ByteSpan span, absl::string_view part) {
  const absl::string_view text = absl::string_view(chat.text).substr(span.begin, span.end - span.begin);
  for (size_t at = text.rfind(part); at != absl::string_view::npos; at = text.rfind(part, at - 1)) {
    const ByteSpan found{span.begin + at, span.begin + at + part.size()};
    if (chat.IsTemplates(found)) return found;
    if (at == 0) break;
  }
  return std::nullopt;
}

// The longest beginning of `part` with which the span ends.
ByteSpan FindBeginningAtEnd(const RenderedChat& chat, ByteSpan span, absl::string_view part) {
  const absl::string_view text = absl::string_view(chat.text).substr(span.begin, span.end - span.begin);
  for (size_t size = std::min(part.size(), text.size()); size > 0; --size) {
    const ByteSpan found{span.end - size, span.end};
    if (absl::EndsWith(text, part.substr(0, size)) && chat.IsTemplates(found)) return found;
  }
  return {span.end, span.end};
}

}  // namespace

bool RenderedChat::IsTemplates(ByteSpan span) const {
  auto run = std::partition_point(runs.begin(), runs.end(), [&](const Run& run) { return run.end <= span.begin; });
  for (; run != runs.end() && run->begin < span.end; ++run) {
    if (run->origin != jinja::kTemplate) return false;
  }
  return true;
}

RenderedChat Flatten(absl::Span<const jinja::Piece> pieces) {
  RenderedChat chat;
  for (const jinja::Piece& piece : pieces) {
    if (piece.text.empty()) continue;
    const size_t begin = chat.text.size();
    chat.text += piece.text;
    if (!chat.runs.empty() && chat.runs.back().origin == piece.origin) {
      chat.runs.back().end = chat.text.size();
    } else {
      chat.runs.push_back({{begin, chat.text.size()}, piece.origin});
    }
  }
  return chat;
}

std::vector<ByteSpan> SpansOfMessages(const RenderedChat& chat) {
  std::vector<ByteSpan> spans(chat.messages);
  for (const RenderedChat::Run& run : chat.runs) {
    const std::optional<size_t> message = MessageOf(run.origin);
    if (!message.has_value()) continue;
    KEDGE_CHECK(*message < spans.size());
    ByteSpan& span = spans[*message];
    if (span.empty()) span.begin = run.begin;
    span.end = run.end;
  }
  return spans;
}

std::string FindOpener(const RenderedChat& asked, const RenderedChat& unasked) {
  const size_t begin = CommonPrefix(asked.text, unasked.text);
  if (!asked.IsTemplates({begin, asked.text.size()})) return "";
  return asked.text.substr(begin);
}

std::string FindConstantOpener(const Tokenizer& tokenizer, const RenderedChat& one, const RenderedChat* two) {
  const ByteSpan only = SpansOfMessages(one)[0];
  if (only.empty()) return "";
  const absl::string_view behind = absl::string_view(one.text).substr(only.end);
  if (two == nullptr) return std::string(behind);  // as where users and assistants must take turns
  const std::vector<ByteSpan> spans = SpansOfMessages(*two);
  if (spans[0].empty() || spans[1].empty()) return "";
  const absl::string_view text = two->text;
  const absl::string_view before = text.substr(0, spans[0].begin);
  const absl::string_view between = text.substr(spans[0].end, spans[1].begin - spans[0].end);
  const size_t ends = between.size() - CommonSuffix(before, between).size();  // there a user's message is opened
  if (CommonPrefix(between, behind) < ends) return "";
  // Two special tokens may end alike: the one that ends a message is no part of what opens an answer.
  size_t at = 0;
  for (auto special = tokenizer.FindSpecial(behind); special.has_value() && at + special->begin < ends;
       special = tokenizer.FindSpecial(behind.substr(at))) {
    at += special->end;
  }
  return std::string(behind.substr(std::max(at, ends)));
}

std::vector<ByteSpan> FindOpeners(const RenderedChat& chat, const std::vector<bool>& is_answer,
                                  absl::string_view opener, bool at_end) {
  if (opener.empty()) return {};
  std::vector<ByteSpan> found;
  size_t end = chat.text.size();
  if (at_end && absl::EndsWith(chat.text, opener) &&
      chat.IsTemplates({chat.text.size() - opener.size(), chat.text.size()})) {
    end -= opener.size();
    found.push_back({end, chat.text.size()});
  }
  const std::vector<ByteSpan> spans = SpansOfMessages(chat);
  size_t behind = 0;  // the end of the messages before
  for (size_t i = 0; i < spans.size(); ++i) {
    if (is_answer[i]) {
      ByteSpan between{behind, spans[i].empty() ? end : spans[i].begin};
      for (size_t next = i + 1; spans[i].empty() && next < spans.size(); ++next) {
        if (!spans[next].empty()) between.end = std::min(between.end, spans[next].begin);
      }
      if (!between.empty()) {
        if (const std::optional<ByteSpan> whole = FindLast(chat, between, opener)) {
          found.push_back(*whole);
        } else if (!spans[i].empty()) {
          found.push_back(FindBeginningAtEnd(chat, between, opener));
        }
      }
    }
    behind = std::max(behind, spans[i].end);
  }
  std::sort(found.begin(), found.end(), [](const ByteSpan& a, const ByteSpan& b) { return a.begin < b.begin; });
  std::vector<ByteSpan> apart;
  for (const ByteSpan& span : found) {
    if (span.empty()) continue;
    if (!apart.empty() && span.begin <= apart.back().end) {
      apart.back().end = std::max(apart.back().end, span.end);
    } else {
      apart.push_back(span);
    }
  }
  return apart;
}

bool CutBehindContent(RenderedChat* chat, size_t message) {
  while (!chat->runs.empty() && chat->runs.back().origin != ContentOrigin(message)) chat->runs.pop_back();
  if (chat->runs.empty()) return false;
  chat->text.resize(chat->runs.back().end);
  return true;
}

}  // namespace kedge
