// Tested by frame_test.cc.
#include "eval/forms/frame.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kedge {
namespace {

constexpr size_t kTemplateTokens = 30;        // about what a chat template adds
constexpr char kAnswerBegin[] = "\nAnswer:";  // of a plain text

}  // namespace

Question AskInFrame(const Frame& frame, absl::string_view text, const Ask& ask) {
  Question made{.form = ask.form, .check = ask.check, .expected = ask.expected};
  std::string message;
  size_t text_begin = 0;
  absl::string_view words = frame.words;
  while (!words.empty()) {
    const size_t mark = std::min(words.find('{'), words.size());
    absl::StrAppend(&message, words.substr(0, mark));
    words.remove_prefix(mark);
    if (words.empty()) break;
    if (words[1] == 't') {
      text_begin = message.size();
      absl::StrAppend(&message, text);
    } else {
      made.asked.bytes = {message.size(), message.size() + ask.question.size()};
      absl::StrAppend(&message, ask.question);
    }
    words.remove_prefix(3);  // {t} or {q}
  }
  if (frame.opens_answer) absl::StrAppend(&message, kAnswerBegin);
  for (const ByteRange& fact : ask.evidence) {
    made.evidence.push_back({.bytes = {fact.begin + text_begin, fact.end + text_begin}});
  }
  made.chat.messages = {{.role = "user", .content = std::move(message)}};
  return made;
}

std::vector<Question> AskAll(absl::string_view words, absl::string_view text, const std::vector<Ask>& asks,
                             const TextOptions& options) {
  const Frame frame{.words = std::string(words), .opens_answer = options.plain};
  std::vector<Question> questions;
  for (const Ask& ask : asks) questions.push_back(AskInFrame(frame, text, ask));
  return questions;
}

size_t TokensForText(const TextOptions& options, absl::string_view words, absl::string_view question, size_t more) {
  size_t around = options.count_tokens(words) + options.count_tokens(question) + kTemplateTokens + more;
  if (options.plain) around += options.count_tokens(kAnswerBegin);
  return options.tokens - std::min(options.tokens, around);
}

}  // namespace kedge
