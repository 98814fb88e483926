// Tested by question_marks_test.cc.
#include "common/tokenizer/question_marks.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kedge {
namespace {

constexpr absl::string_view kMarks[] = {"?", "\u037E", "\u061F", "\u1367", "\uFF1F"};

// Bytes of the mark that `text` begins with; 0: none.
size_t MarkAt(absl::string_view text) {
  for (const absl::string_view mark : kMarks) {
    if (absl::StartsWith(text, mark)) return mark.size();
  }
  return 0;
}

bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }

bool IsEnd(absl::string_view before, absl::string_view behind) {
  if (before.empty()) return false;
  if (behind.empty() || behind.front() == '\n' || behind.front() == '\r') return true;
  if (absl::ascii_isspace(before.back())) {
    if (!absl::ascii_isspace(behind.front())) return false;
    const absl::string_view next = absl::StripLeadingAsciiWhitespace(behind);
    return next.empty() || absl::ascii_isupper(next.front()) || !IsAscii(next.front());
  }
  return MarkAt(behind) > 0 || !IsAscii(behind.front()) || absl::ascii_isspace(behind.front()) ||
         absl::StrContains("\"'`*_)]}>!", behind.front());
}

}  // namespace

std::vector<uint32_t> FindQuestionMarks(const Tokenizer& tokenizer, const PromptTokens& prompt) {
  std::vector<uint32_t> found;
  for (const PositionRange& said : prompt.user) {
    std::string text;
    std::vector<size_t> ends;  // of each token, in the text
    for (uint32_t position = said.begin; position < said.end; ++position) {
      absl::StrAppend(&text, tokenizer.TokenBytes(prompt.ids[position]));
      ends.push_back(text.size());
    }
    size_t token = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      const absl::string_view rest = absl::string_view(text).substr(at);
      const size_t size = MarkAt(rest);
      if (size == 0 || !IsEnd(absl::string_view(text).substr(0, at), rest.substr(size))) continue;
      while (ends[token] < at + size) ++token;
      const uint32_t position = said.begin + static_cast<uint32_t>(token);
      if (found.empty() || found.back() != position) found.push_back(position);
    }
  }
  return found;
}

}  // namespace kedge
