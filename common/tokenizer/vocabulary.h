// The tokens of a model as its GGUF file lists them.
#ifndef KEDGE_COMMON_TOKENIZER_VOCABULARY_H_
#define KEDGE_COMMON_TOKENIZER_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/gguf.h"

namespace kedge {

// Values of tokenizer.ggml.token_type.
enum class TokenType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,  // text that stays whole: <tool_call>, runs of spaces
  kUnused = 5,       // SentencePiece: a step on the way to longer tokens, never a result
  kByte = 6,         // SentencePiece: <0xNN>, one byte of a character that no token spells
};

// Spellings and types by id. A view of the file's metadata: valid as long as the file.
struct Vocabulary {
  const std::vector<std::string>* spellings;
  std::vector<TokenType> types;  // as long as `spellings`; all normal if the file has no types

  uint32_t size() const { return static_cast<uint32_t>(spellings->size()); }
  const std::string& spelling(uint32_t id) const { return (*spellings)[id]; }
  // Control tokens and the one for what is unknown: no text is one.
  bool IsSpecial(uint32_t id) const;
  // A text that spells one is that token, which takes part in no merge.
  bool IsUserDefined(uint32_t id) const { return types[id] == TokenType::kUserDefined; }
};

// kInvalidArgument and kNotFound name the file and the key.
absl::StatusOr<Vocabulary> ReadVocabulary(const GgufFile& file);

// The token id under `key`; nullopt if the file has no such key. kInvalidArgument if it is not below `vocab_size`.
absl::StatusOr<std::optional<uint32_t>> ReadTokenId(const GgufFile& file, absl::string_view key, uint32_t vocab_size);

// The same for a list of ids; empty if the file has no such key. The error names the element.
absl::StatusOr<std::vector<uint32_t>> ReadTokenIds(const GgufFile& file, absl::string_view key, uint32_t vocab_size);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_VOCABULARY_H_
