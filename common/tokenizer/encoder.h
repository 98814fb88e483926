// The seam between a tokenizer and the kinds of vocabulary: byte-level BPE and SentencePiece.
#ifndef KEDGE_COMMON_TOKENIZER_ENCODER_H_
#define KEDGE_COMMON_TOKENIZER_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kedge {

// A token of a text. It stands for the bytes from `begin` to the next token's `begin`, or to the text's end; of several
// tokens for one character's bytes the last one has the bytes.
struct TextToken {
  uint32_t id;
  size_t begin;
};

// Thread-safe (immutable).
class Encoder {
 public:
  virtual ~Encoder() = default;

  // Appends the tokens of `text`.
  // REQUIRES: text is valid UTF-8 of at most kMaxTextBytes.
  static constexpr size_t kMaxTextBytes = size_t{1} << 29;  // three bytes for each still count in 31 bits
  virtual absl::Status Encode(absl::string_view text, std::vector<TextToken>* out) const = 0;

  // The bytes that a token stands for; of a special one its spelling. REQUIRES: id is below the vocabulary's size.
  virtual absl::string_view TokenBytes(uint32_t id) const = 0;

  // No token but the unknown one stands for more bytes of a text than this. It is at least 1.
  virtual size_t longest_text() const = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_ENCODER_H_
