// What a chat template has written, before it becomes tokens.
#ifndef KEDGE_COMMON_TOKENIZER_RENDERED_CHAT_H_
#define KEDGE_COMMON_TOKENIZER_RENDERED_CHAT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/jinja/template.h"
#include "common/jinja/text.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// Bytes [begin, end) of a text.
struct ByteSpan {
  size_t begin = 0;
  size_t end = 0;

  bool empty() const { return begin >= end; }
  friend bool operator==(const ByteSpan& a, const ByteSpan& b) { return a.begin == b.begin && a.end == b.end; }
};

struct RenderedChat {
  struct Run : ByteSpan {
    jinja::Origin origin = jinja::kTemplate;
  };

  std::string text;
  std::vector<Run> runs;          // all of the text; neighbours differ in origin
  std::vector<ByteSpan> openers;  // what opens an answer: ascending, apart
  size_t messages = 0;            // how many the conversation has
  size_t turn = 0;                // the last message that is not an answer to be continued
  std::vector<size_t> user;       // messages of the role `user`, ascending
  std::vector<size_t> system;     // and of `system` or `developer`

  // Whether the template itself wrote all of the bytes.
  bool IsTemplates(ByteSpan span) const;
};

RenderedChat Flatten(absl::Span<const jinja::Piece> pieces);

// Where each message begins and ends: from its first byte to its last one. Empty where nothing of it was written.
std::vector<ByteSpan> SpansOfMessages(const RenderedChat& chat);

// What asking for an answer adds: the end of `asked` behind what it has in common with `unasked`. Empty if that is not
// the template's own text.
std::string FindOpener(const RenderedChat& asked, const RenderedChat& unasked);

// What opens the answers of a template that always opens one: what stands behind a user's message, without what ends
// that message. From a chat of one user's message and from one of two, which is null if the template refuses it: then
// nothing is known to end a message.
std::string FindConstantOpener(const Tokenizer& tokenizer, const RenderedChat& one, const RenderedChat* two);

// Where `opener` was written: at the end of the text, if `at_end`; and for each message that `is_answer` the last place
// behind the message before it, or else as much of its beginning as stands right before the message. Only in text that
// the template itself wrote.
std::vector<ByteSpan> FindOpeners(const RenderedChat& chat, const std::vector<bool>& is_answer,
                                  absl::string_view opener, bool at_end);

// Ends the text behind the last byte of a message's content. False if there is none.
bool CutBehindContent(RenderedChat* chat, size_t message);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_RENDERED_CHAT_H_
