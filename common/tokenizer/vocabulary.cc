// Tested by tokenizer_test.cc and sentence_piece_test.cc.
#include "common/tokenizer/vocabulary.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace kedge {
namespace {

constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
constexpr char kTypesKey[] = "tokenizer.ggml.token_type";

absl::StatusOr<uint32_t> CheckTokenId(const GgufFile& file, absl::string_view what, int64_t id, uint32_t vocab_size) {
  if (id >= 0 && id < int64_t{vocab_size}) return static_cast<uint32_t>(id);
  return absl::InvalidArgumentError(
      absl::StrCat(file.name(), ": ", what, ": ", id, " is no token id; the vocabulary has ", vocab_size, " tokens"));
}

}  // namespace

bool Vocabulary::IsSpecial(uint32_t id) const {
  const TokenType type = types[id];
  return type == TokenType::kUnknown || type == TokenType::kControl;
}

absl::StatusOr<Vocabulary> ReadVocabulary(const GgufFile& file) {
  Vocabulary vocabulary;
  KEDGE_ASSIGN_OR_RETURN(vocabulary.spellings, file.GetStrings(kTokensKey));
  const size_t count = vocabulary.spellings->size();
  if (count == 0 || count >= UINT32_MAX) {
    return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kTokensKey, ": has ", count, " tokens"));
  }
  vocabulary.types.resize(count, TokenType::kNormal);
  if (!file.Has(kTypesKey)) return vocabulary;
  KEDGE_ASSIGN_OR_RETURN(const std::vector<int64_t>* const types, file.GetInts(kTypesKey));
  if (types->size() != count) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name(), ": ", kTypesKey, ": has ", types->size(), " values for ", count, " tokens"));
  }
  for (size_t id = 0; id < count; ++id) {
    const int64_t type = (*types)[id];
    // Other numbers have no meaning in any version of the format; such tokens are ordinary ones.
    if (type >= static_cast<int64_t>(TokenType::kNormal) && type <= static_cast<int64_t>(TokenType::kByte)) {
      vocabulary.types[id] = static_cast<TokenType>(type);
    }
  }
  return vocabulary;
}

absl::StatusOr<std::optional<uint32_t>> ReadTokenId(const GgufFile& file, absl::string_view key, uint32_t vocab_size) {
  if (!file.Has(key)) return std::nullopt;
  KEDGE_ASSIGN_OR_RETURN(const int64_t id, file.GetInt(key));
  return CheckTokenId(file, key, id, vocab_size);
}

absl::StatusOr<std::vector<uint32_t>> ReadTokenIds(const GgufFile& file, absl::string_view key, uint32_t vocab_size) {
  std::vector<uint32_t> checked;
  if (!file.Has(key)) return checked;
  KEDGE_ASSIGN_OR_RETURN(const std::vector<int64_t>* const ids, file.GetInts(key));
  for (size_t i = 0; i < ids->size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(const uint32_t id,
                           CheckTokenId(file, absl::StrCat(key, "[", i, "]"), (*ids)[i], vocab_size));
    checked.push_back(id);
  }
  return checked;
}

}  // namespace kedge
