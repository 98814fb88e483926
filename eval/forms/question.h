// What is asked: a chat, where in it stands what an answer needs, and what makes a reply right.
#ifndef KEDGE_EVAL_FORMS_QUESTION_H_
#define KEDGE_EVAL_FORMS_QUESTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/tokenizer/conversation.h"
#include "eval/reply_check.h"

namespace kedge {

// Bytes [begin, end) of a text.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// Bytes of one message's content.
struct Passage {
  size_t message = 0;
  ByteRange bytes;
  friend bool operator==(const Passage&, const Passage&) = default;
};

struct Question {
  std::string form;
  Conversation chat;              // of a plain text: one message, with which the model goes on
  Passage asked;                  // the question; of `begun` the beginning of the sentence
  std::vector<Passage> evidence;  // the sentences, rows or lines that are needed for the answer
  ReplyCheck check;
  std::string expected;  // what an ideal model replies

  absl::string_view TextOf(const Passage& passage) const {
    return absl::string_view(*chat.messages[passage.message].content)
        .substr(passage.bytes.begin, passage.bytes.end - passage.bytes.begin);
  }
};

struct TextOptions {
  uint64_t seed = 1;
  // A prompt has about so many tokens: what fills it ends at the sentence or line that reaches them.
  size_t tokens = 1000;
  std::function<size_t(absl::string_view)> count_tokens;
  // Questions are texts to go on with, and no chats: they end where the answer begins.
  bool plain = false;
  // Sentences of ordinary text, in order. REQUIRES: not empty.
  absl::Span<const std::string> filler;
};

// Makes a text and what is asked of it: the chats are equal up to the last question's message, and mostly up to the
// question. A pure function: the same options give the same bytes on every machine.
using MakeQuestions = std::function<std::vector<Question>(const TextOptions&)>;

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_QUESTION_H_
