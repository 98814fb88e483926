// SentencePiece's BPE: tokenizer.ggml.model = "llama" (Llama 1 and 2, Mistral, TinyLlama and their descendants).
#ifndef KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_H_
#define KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/gguf.h"
#include "common/tokenizer/encoder.h"
#include "common/tokenizer/sentence_piece_library.h"
#include "common/tokenizer/vocabulary.h"

namespace kedge {

// The SentencePiece library, given the vocabulary of a GGUF file instead of a model file of its own.
// Thread-safe (immutable).
class SentencePieceEncoder final : public Encoder {
 public:
  // kInvalidArgument or kUnimplemented names the metadata key and its value.
  static absl::StatusOr<std::unique_ptr<const SentencePieceEncoder>> Create(const GgufFile& file,
                                                                            const Vocabulary& vocabulary);

  // The bytes that each token stands for, by id: its spelling with U+2581 as a space; of <0xNN> that byte; of a special
  // token the spelling itself.
  static std::vector<std::string> TokenBytes(const Vocabulary& vocabulary);

  // Whether a space that the text does not have is put before it (tokenizer.ggml.add_space_prefix).
  bool adds_space() const { return adds_space_; }

  absl::Status Encode(absl::string_view text, std::vector<TextToken>* out) const override;

 private:
  SentencePieceEncoder() = default;

  SentencePieceLibrary library_;
  bool adds_space_ = true;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_H_
