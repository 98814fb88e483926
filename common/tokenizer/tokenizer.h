// Text to token ids and back, for vocabularies stored in GGUF files.
#ifndef KEDGE_COMMON_TOKENIZER_TOKENIZER_H_
#define KEDGE_COMMON_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/gguf.h"
#include "common/tokenizer/encoder.h"
#include "common/tokenizer/token_matcher.h"

namespace kedge {

using SpecialSpan = TokenSpan;

// What tokenizer.ggml.model names: "gpt2" (byte-level BPE; byte_level.h) or "llama" (SentencePiece; sentence_piece.h).
// Thread-safe after Load (immutable).
class Tokenizer {
 public:
  // kInvalidArgument or kUnimplemented names the metadata key, its value and what is supported.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const GgufFile& file);
  ~Tokenizer();

  int vocab_size() const;

  // Encodes plain text. A user-defined token that it spells is that token; of those that begin at the same place the
  // longest. The spelling of a special token inside `text` is encoded as ordinary text: user input can not make control
  // tokens. (What Hugging Face's added tokens do to the white space beside them is not in a GGUF.) What the vocabulary
  // has no token for is left out, or becomes its unknown token, as its own tokenizer does (byte-level BPE: some control
  // characters in SmolLM2; SentencePiece: only without byte tokens). Unicode is not normalised. kInvalidArgument if
  // `text` is not valid UTF-8 (with the byte offset).
  absl::StatusOr<std::vector<uint32_t>> Encode(absl::string_view text) const;
  // The same, with where each token begins in `text`.
  absl::StatusOr<std::vector<TextToken>> EncodeWithOffsets(absl::string_view text) const;
  // Whether Encode puts a space before every text, as SentencePiece vocabularies do (a Detokenizer takes it away).
  bool adds_space() const;

  // The first special token that `text` spells, and of those that begin there the longest. What is part of a
  // user-defined token is none.
  std::optional<SpecialSpan> FindSpecial(absl::string_view text) const;

  // The bytes that the token stands for; a special token's spelling. A token may be part of a UTF-8 character (see
  // Detokenizer). REQUIRES: id < vocab_size().
  absl::string_view TokenBytes(uint32_t id) const;

  // No token stands for more bytes of a text than this, except the unknown one. At least 1.
  size_t longest_text() const;

  // Control tokens (and the unknown one): not what text spells, and hidden in text by default. User-defined ones are
  // text like others.
  bool IsSpecial(uint32_t id) const;
  // SentencePiece's <0xNN>: one byte of a character that has no token of its own.
  bool IsByte(uint32_t id) const;
  // The id of the special or user-defined token with exactly this spelling.
  std::optional<uint32_t> SpecialId(absl::string_view spelling) const;

  // Ids that end a generation, sorted: those that the file names as ends of a sequence, a turn or a message, and
  // control tokens whose spelling says so in well-known vocabularies.
  const std::vector<uint32_t>& end_ids() const;
  // The tokens that begin and end a text, if the model has them.
  std::optional<uint32_t> bos() const;
  std::optional<uint32_t> eos() const;
  // The former, if it goes before every prompt: by tokenizer.ggml.add_bos_token, and without that key in SentencePiece
  // vocabularies and Llama 3's.
  std::optional<uint32_t> bos_to_add() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of tokens into text that is valid UTF-8 at every point: bytes of a character that may still be
// completed are held back, bytes that cannot become one are replaced by U+FFFD. Where the tokenizer puts a space before
// a text, that space is taken away again where a text begins: after a special token, and at the stream's begin if that
// is where the text begins. Owned by one thread.
class Detokenizer {
 public:
  enum class Begin {
    kContinuation,  // the first token goes on with a text, as a completion does: its space is text
    kText,          // it begins one, as the first token that Encode returns does
  };
  // `tokenizer` must outlive this.
  Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens, Begin begin = Begin::kContinuation);

  // Returns the text that this token completes; may be empty. An id that the vocabulary does not have gives U+FFFD.
  std::string Push(uint32_t id);
  // Ends the stream: what was held back, as U+FFFD.
  std::string Finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  bool drop_space_;   // one that comes next is not text
  std::string held_;  // an incomplete character: at most 3 bytes
};

// The token ids that the policy names `sentence` and `separators` stand for (design of the sets: see anchor_sets.cc),
// sorted; and the one id whose text is exactly ".", if there is one.
struct AnchorSets {
  std::vector<uint32_t> sentence;
  std::vector<uint32_t> separators;
  std::optional<uint32_t> full_stop;
};
AnchorSets FindAnchorSets(const Tokenizer& tokenizer);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_TOKENIZER_H_
