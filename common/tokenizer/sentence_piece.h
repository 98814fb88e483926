// SentencePiece's BPE: tokenizer.ggml.model = "llama" (Llama 1 and 2, Mistral, TinyLlama and their descendants).
#ifndef KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_H_
#define KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/gguf.h"
#include "common/tokenizer/encoder.h"
#include "common/tokenizer/token_matcher.h"
#include "common/tokenizer/vocabulary.h"

namespace kedge {

// Writes spaces as U+2581, one before the text, finds user-defined tokens, and merges the characters between them:
// always the neighbours that make the piece of the highest score.
// Thread-safe (immutable).
class SentencePieceEncoder final : public Encoder {
 public:
  // kInvalidArgument or kUnimplemented names the metadata key and its value.
  static absl::StatusOr<std::unique_ptr<const SentencePieceEncoder>> Create(const GgufFile& file,
                                                                            const Vocabulary& vocabulary);

  // Whether a space that the text does not have is put before it (tokenizer.ggml.add_space_prefix).
  bool adds_space() const { return adds_space_; }

  absl::Status Encode(absl::string_view text, std::vector<TextToken>* out) const override;
  // The spelling with U+2581 as a space; of <0xNN> that byte; of a special token the spelling as it stands.
  absl::string_view TokenBytes(uint32_t id) const override { return bytes_[id]; }
  // In a text a space may be written as U+2581, so the longest spelling counts.
  size_t longest_text() const override { return longest_text_; }

 private:
  struct Piece {
    uint32_t id;
    float score;
    bool unused;  // in the end it is taken apart again
  };
  class Word;  // a text under way

  SentencePieceEncoder() = default;
  absl::Status LoadPieces(const GgufFile& file, const Vocabulary& vocabulary);
  absl::Status LoadFallback(const GgufFile& file, const Vocabulary& vocabulary);
  // nullptr if `spelling` is no piece.
  const Piece* Find(absl::string_view spelling) const;

  std::vector<std::string> bytes_;                  // by id
  absl::flat_hash_map<std::string, Piece> pieces_;  // by spelling; merges make nothing but these
  TokenMatcher user_defined_;                       // spelled like pieces_
  size_t longest_piece_ = 0;                        // bytes
  size_t longest_text_ = 1;                         // of user-defined tokens as well
  bool has_bytes_ = false;
  std::array<uint32_t, 256> byte_ids_;  // if has_bytes_
  uint32_t unknown_id_ = 0;             // else
  bool adds_space_ = true;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_H_
