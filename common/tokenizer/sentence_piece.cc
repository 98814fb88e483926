// The library loads a model from the bytes of its protocol buffer `ModelProto`, whose definition its Debian package does
// not ship. Of it a few fields are needed, so they are written here by hand:
//
//   ModelProto      1 pieces (repeated)   2 trainer_spec   3 normalizer_spec
//   pieces          1 piece (string)      2 score (float)  3 type (as TokenType)
//   trainer_spec    3 model_type (2: BPE) 35 byte_fallback
//   normalizer_spec 3 add_dummy_prefix    4 remove_extra_whitespaces   5 escape_whitespaces
//
// Text must not become a special token, and the library must not mind how special tokens are spelled (empty, twice, or
// like a piece of text). So each goes in as a control piece with a name that has a space: the library writes every
// space of a text as U+2581, hence no text has that name.
// Tested by sentence_piece_test.cc and tokenizer_golden_test.cc.
#include "common/tokenizer/sentence_piece.h"

#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/tokenizer/utf8.h"

namespace kedge {
namespace {

constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
constexpr char kScoresKey[] = "tokenizer.ggml.scores";
constexpr char kUnknownKey[] = "tokenizer.ggml.unknown_token_id";
constexpr char kAddSpaceKey[] = "tokenizer.ggml.add_space_prefix";
constexpr char kRemoveSpacesKey[] = "tokenizer.ggml.remove_extra_whitespaces";
constexpr char kCharacterMapKey[] = "tokenizer.ggml.precompiled_charsmap";

constexpr absl::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

// Appends fields of a protocol buffer to `bytes`.
void AppendVarint(uint64_t value, std::string* bytes) {
  for (; value >= 0x80; value >>= 7) bytes->push_back(static_cast<char>(value | 0x80));
  bytes->push_back(static_cast<char>(value));
}

void AppendNumber(uint32_t field, uint64_t value, std::string* bytes) {
  AppendVarint(field << 3, bytes);
  AppendVarint(value, bytes);
}

void AppendFloat(uint32_t field, float value, std::string* bytes) {
  AppendVarint(field << 3 | 5, bytes);
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  for (int i = 0; i < 4; ++i) bytes->push_back(static_cast<char>(bits >> 8 * i));
}

void AppendString(uint32_t field, absl::string_view value, std::string* bytes) {
  AppendVarint(field << 3 | 2, bytes);
  AppendVarint(value.size(), bytes);
  absl::StrAppend(bytes, value);
}

// The byte that <0xNN> spells.
std::optional<uint8_t> SpelledByte(absl::string_view spelling) {
  uint32_t byte = 0;
  if (spelling.size() != 6 || !absl::StartsWith(spelling, "<0x") || spelling.back() != '>' ||
      !absl::SimpleHexAtoi(spelling.substr(3, 2), &byte)) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(byte);
}

absl::StatusOr<bool> OptionalBool(const GgufFile& file, absl::string_view key, bool otherwise) {
  if (!file.Has(key)) return otherwise;
  return file.GetBool(key);
}

// The token for characters that nothing else stands for. The library wants exactly one.
absl::StatusOr<uint32_t> FindUnknown(const GgufFile& file, const Vocabulary& vocabulary) {
  KEDGE_ASSIGN_OR_RETURN(const std::optional<uint32_t> named, ReadTokenId(file, kUnknownKey, vocabulary.size()));
  if (named.has_value()) return *named;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.types[id] == TokenType::kUnknown) return id;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(file.name(), ": ", kUnknownKey, " is missing, and no token has the type of unknown ones"));
}

// The pieces of a ModelProto.
absl::StatusOr<std::string> MakePieces(const GgufFile& file, const Vocabulary& vocabulary, bool* has_bytes) {
  KEDGE_ASSIGN_OR_RETURN(const std::vector<double>* const scores, file.GetFloats(kScoresKey));
  if (scores->size() != vocabulary.size()) {
    return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kScoresKey, ": has ", scores->size(),
                                                   " values for ", vocabulary.size(), " tokens"));
  }
  KEDGE_ASSIGN_OR_RETURN(const uint32_t unknown, FindUnknown(file, vocabulary));
  *has_bytes = false;
  std::string pieces;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    std::string name = vocabulary.spelling(id);
    TokenType type = vocabulary.types[id];
    if (id == unknown || vocabulary.IsSpecial(id)) {
      type = id == unknown ? TokenType::kUnknown : TokenType::kControl;
      name = absl::StrCat("special ", id);
    } else if (type == TokenType::kByte) {
      const std::optional<uint8_t> byte = SpelledByte(name);
      if (!byte.has_value()) {
        return absl::InvalidArgumentError(
            absl::StrCat(file.name(), ": ", kTokensKey, "[", id, "]: '", name, "' is a byte token, but not <0xNN>"));
      }
      name = absl::StrFormat("<0x%02X>", *byte);
      *has_bytes = true;
    } else if (FindInvalidUtf8(name).has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kTokensKey, "[", id, "]: not valid UTF-8"));
    }
    std::string piece;
    AppendString(1, name, &piece);
    AppendFloat(2, static_cast<float>((*scores)[id]), &piece);
    AppendNumber(3, static_cast<uint64_t>(type), &piece);
    AppendString(1, piece, &pieces);
  }
  return pieces;
}

}  // namespace

std::vector<std::string> SentencePieceEncoder::TokenBytes(const Vocabulary& vocabulary) {
  std::vector<std::string> bytes;
  bytes.reserve(vocabulary.size());
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string& spelling = vocabulary.spelling(id);
    if (vocabulary.IsSpecial(id)) {
      bytes.push_back(spelling);
    } else if (const auto byte = SpelledByte(spelling); byte.has_value() && vocabulary.types[id] == TokenType::kByte) {
      bytes.push_back(std::string(1, static_cast<char>(*byte)));
    } else {
      bytes.push_back(absl::StrReplaceAll(spelling, {{kSpaceMark, " "}}));
    }
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<const SentencePieceEncoder>> SentencePieceEncoder::Create(const GgufFile& file,
                                                                                         const Vocabulary& vocabulary) {
  if (file.Has(kCharacterMapKey)) {
    return absl::UnimplementedError(
        absl::StrCat(file.name(), ": ", kCharacterMapKey, " is not supported; supported is its absence"));
  }
  std::unique_ptr<SentencePieceEncoder> encoder(new SentencePieceEncoder());
  KEDGE_ASSIGN_OR_RETURN(encoder->adds_space_, OptionalBool(file, kAddSpaceKey, true));
  KEDGE_ASSIGN_OR_RETURN(const bool removes_spaces, OptionalBool(file, kRemoveSpacesKey, false));
  bool has_bytes = false;
  KEDGE_ASSIGN_OR_RETURN(std::string model, MakePieces(file, vocabulary, &has_bytes));

  std::string trainer;
  AppendNumber(3, 2, &trainer);
  AppendNumber(35, has_bytes, &trainer);
  AppendString(2, trainer, &model);
  std::string normalizer;
  AppendNumber(3, encoder->adds_space_, &normalizer);
  AppendNumber(4, removes_spaces, &normalizer);
  AppendNumber(5, true, &normalizer);
  AppendString(3, normalizer, &model);

  if (const std::optional<std::string> error = encoder->library_.Load(model)) {
    return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kTokensKey, ": SentencePiece: ", *error));
  }
  return std::unique_ptr<const SentencePieceEncoder>(std::move(encoder));
}

absl::Status SentencePieceEncoder::Encode(absl::string_view text, std::vector<TextToken>* out) const {
  std::vector<SentencePieceLibrary::Piece> pieces;
  if (const std::optional<std::string> error = library_.Encode({text.data(), text.size()}, &pieces)) {
    return absl::InternalError(absl::StrCat("SentencePiece: ", *error));
  }
  out->reserve(out->size() + pieces.size());
  for (const SentencePieceLibrary::Piece& piece : pieces) out->push_back({piece.id, piece.begin});
  return absl::OkStatus();
}

}  // namespace kedge
