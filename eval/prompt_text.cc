// Tested by prompt_text_test.cc.
#include "eval/prompt_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/cut_strength.h"
#include "common/tokenizer/prompt_tokens.h"
#include "common/tokenizer/question_marks.h"
#include "eval/forms/haystack.h"

namespace kedge {
namespace {

Continuation ContinuationOf(const PromptTokens& prompt, const Tokenizer& tokenizer) {
  return {.prompt = prompt.ids,
          .no_anchor_positions = PositionsOf(prompt.no_anchor),
          .cuts = FindCutStrengths(tokenizer, prompt),
          .turn_begin = prompt.turn_begin,
          .user = prompt.user,
          .system = prompt.system,
          .question_marks = FindQuestionMarks(tokenizer, prompt)};
}

// The chat without tools: calls become what the assistant says, results come from `role`.
Conversation WithoutTools(Conversation chat, const char* role) {
  chat.tools.clear();
  for (ChatMessage& message : chat.messages) {
    for (const ToolCall& call : message.tool_calls) {
      message.content = absl::StrCat(message.content.value_or(""), call.name, "(", call.arguments, ")");
    }
    message.tool_calls.clear();
    if (message.role != "tool") continue;
    message = {.role = role, .content = message.content};
  }
  return chat;
}

absl::StatusOr<PromptTokens> Apply(const Conversation& conversation, const ChatTemplate& chat) {
  absl::StatusOr<PromptTokens> prompt = chat.Apply(conversation);
  if (conversation.tools.empty()) return prompt;
  for (const char* role : {"tool", "user"}) {
    if (prompt.ok()) break;
    prompt = chat.Apply(WithoutTools(conversation, role));
  }
  return prompt;
}

// Where the passages are in the prompt. Each message's content is looked for behind that of the message before; where a
// template does not write it as it is, all that it made of the message is taken.
std::vector<PositionRange> TokensOf(const Question& question, const PromptTokens& prompt, const Tokenizer& tokenizer) {
  std::string text;
  std::vector<TextToken> tokens;
  for (uint32_t id : prompt.ids) {
    tokens.push_back({id, text.size()});
    absl::StrAppend(&text, tokenizer.TokenBytes(id));
  }
  std::vector<size_t> begins;  // of each message's content, or npos
  size_t from = 0;
  for (const ChatMessage& message : question.chat.messages) {
    const size_t begin = message.content ? text.find(*message.content, from) : std::string::npos;
    begins.push_back(begin);
    if (begin != std::string::npos) from = begin + message.content->size();
  }
  std::vector<PositionRange> needed;
  for (const Passage& passage : question.evidence) {
    const size_t begin = begins[passage.message];
    if (begin != std::string::npos) {
      needed.push_back(TokensOfBytes(tokens, text.size(), begin + passage.bytes.begin, begin + passage.bytes.end));
    } else if (passage.message < prompt.messages.size()) {
      const std::vector<PositionRange>& message = prompt.messages[passage.message];
      needed.insert(needed.end(), message.begin(), message.end());
    }
  }
  return UnionOf(std::move(needed));
}

}  // namespace

size_t CountTokens(const Tokenizer& tokenizer, absl::string_view text) {
  const absl::StatusOr<std::vector<uint32_t>> ids = tokenizer.Encode(text);
  return ids.ok() ? ids->size() : 0;
}

std::vector<std::string> FillerOf(absl::Span<const HeldOutDocument> documents) {
  std::vector<std::string> filler;
  for (const HeldOutDocument& document : documents) {
    if (document.kind == "code" || document.kind == "data") continue;
    for (std::string& sentence : FillerSentences(document.text)) filler.push_back(std::move(sentence));
  }
  return filler;
}

absl::StatusOr<Continuation> EncodeMessage(const std::string& message, const Tokenizer& tokenizer,
                                           const ChatTemplate* chat) {
  const Question question{.chat = {.messages = {{.role = "user", .content = message}}}};
  KEDGE_ASSIGN_OR_RETURN(EncodedQuestion encoded, EncodeQuestion(question, tokenizer, chat));
  return std::move(encoded.continuation);
}

absl::StatusOr<EncodedQuestion> EncodeQuestion(const Question& question, const Tokenizer& tokenizer,
                                               const ChatTemplate* chat) {
  PromptTokens prompt;
  if (chat == nullptr) {
    KEDGE_ASSIGN_OR_RETURN(prompt.ids, EncodePrompt(tokenizer, *question.chat.messages[0].content));
  } else {
    KEDGE_ASSIGN_OR_RETURN(prompt, Apply(question.chat, *chat));
  }
  return EncodedQuestion{.continuation = ContinuationOf(prompt, tokenizer),
                         .evidence = TokensOf(question, prompt, tokenizer)};
}

}  // namespace kedge
