// Text to token ids and back, for byte-level BPE vocabularies stored in GGUF files.
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

namespace kedge {

// Byte-level BPE (tokenizer.ggml.model = "gpt2") with the pre-tokenizers "gpt-2" and "smollm" (and "refact" and
// "starcoder", which cut as "smollm" does).
// Thread-safe after Load (immutable).
class Tokenizer {
 public:
  // kInvalidArgument or kUnimplemented names the metadata key, its value and what is supported.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const GgufFile& file);
  ~Tokenizer();

  int vocab_size() const;

  // Encodes plain text. The spelling of a special token inside `text` is encoded as ordinary text: user input can
  // not make control tokens. Bytes that the vocabulary has no token for are left out, as its own tokenizer does (in
  // SmolLM2 some control characters). kInvalidArgument if `text` is not valid UTF-8 (with the byte offset).
  absl::StatusOr<std::vector<uint32_t>> Encode(absl::string_view text) const;

  // The bytes that the token stands for; a special token's spelling. A token may be part of a UTF-8 character (see
  // Detokenizer). REQUIRES: id < vocab_size().
  absl::string_view TokenBytes(uint32_t id) const;

  // Control tokens (and user-defined ones): never made by Encode, and hidden in text by default.
  bool IsSpecial(uint32_t id) const;
  // The id of the special token with exactly this spelling.
  std::optional<uint32_t> SpecialId(absl::string_view spelling) const;

  // Ids that end a generation: the model's end-of-sequence, end-of-turn and end-of-text tokens, sorted.
  const std::vector<uint32_t>& end_ids() const;
  // Set when tokenizer.ggml.add_bos_token is true: goes before a plain-text prompt.
  std::optional<uint32_t> bos_to_add() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of tokens into text that is valid UTF-8 at every point: bytes of a character that may still be
// completed are held back, bytes that cannot become one are replaced by U+FFFD. Owned by one thread.
class Detokenizer {
 public:
  // `tokenizer` must outlive this.
  Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens);

  // Returns the text that this token completes; may be empty. An id that the vocabulary does not have gives U+FFFD.
  std::string Push(uint32_t id);
  // Ends the stream: what was held back, as U+FFFD.
  std::string Finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
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
