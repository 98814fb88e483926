// Byte-level BPE: tokenizer.ggml.model = "gpt2".
#ifndef KEDGE_COMMON_TOKENIZER_BYTE_LEVEL_H_
#define KEDGE_COMMON_TOKENIZER_BYTE_LEVEL_H_

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "common/model/gguf.h"
#include "common/tokenizer/bpe.h"
#include "common/tokenizer/encoder.h"
#include "common/tokenizer/pre_tokenizer.h"
#include "common/tokenizer/token_matcher.h"
#include "common/tokenizer/vocabulary.h"

namespace kedge {

// Takes user-defined tokens out of the text, cuts what lies between them into pieces by the rule that
// tokenizer.ggml.pre names, and merges the bytes of each piece by rank. Thread-safe (immutable).
class ByteLevelEncoder final : public Encoder {
 public:
  // kInvalidArgument or kUnimplemented names the metadata key and its value.
  static absl::StatusOr<std::unique_ptr<const ByteLevelEncoder>> Create(const GgufFile& file,
                                                                        const Vocabulary& vocabulary);

  // Whether a prompt begins with the vocabulary's first token where the file does not say.
  bool adds_bos() const { return pre_tokenizer_->adds_bos(); }

  absl::Status Encode(absl::string_view text, std::vector<TextToken>* out) const override;
  // Of an ordinary token what its spelling means in the byte alphabet, of any other the spelling itself.
  absl::string_view TokenBytes(uint32_t id) const override { return bytes_[id]; }
  size_t longest_text() const override { return longest_text_; }

 private:
  ByteLevelEncoder() = default;
  absl::Status LoadMerges(const GgufFile& file, const Vocabulary& vocabulary);
  // Appends the tokens of bytes [begin, end) of `text`, which have no user-defined token.
  absl::Status EncodeBetween(absl::string_view text, size_t begin, size_t end, std::vector<TextToken>* out) const;

  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::array<uint32_t, 256> byte_ids_;  // kNoToken where the vocabulary lacks the byte
  std::vector<std::string> bytes_;      // by id
  size_t longest_text_ = 1;
  BpeMerges merges_;
  TokenMatcher user_defined_;
  absl::flat_hash_map<std::string, uint32_t> whole_tokens_;  // by bytes; empty if only merges make tokens
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_BYTE_LEVEL_H_
