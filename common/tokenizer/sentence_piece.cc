// The text is a doubly linked list of characters in an array; a user-defined token is one symbol of it from the start,
// and merges with nothing. Two neighbours may merge if together they spell a piece; a heap holds the pairs that may, by
// (score, position): the highest score goes first, of equal ones the leftmost. A heap entry is out of date when its
// pair has another length by now, since a pair's text is fixed by its place and length. Each merge pushes at most two
// entries, so a text of n characters costs O(n log n).
//
// Why not the SentencePiece library: Debian's carries symbols of an older Protocol Buffers with it, which take the
// place of the ones that gRPC needs, and a process that links both dies before main.
//
// Tested by sentence_piece_test.cc and tokenizer_golden_test.cc.
#include "common/tokenizer/sentence_piece.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <queue>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace kedge {
namespace {

constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
constexpr char kScoresKey[] = "tokenizer.ggml.scores";
constexpr char kUnknownKey[] = "tokenizer.ggml.unknown_token_id";
constexpr char kAddSpaceKey[] = "tokenizer.ggml.add_space_prefix";
constexpr char kRemoveSpacesKey[] = "tokenizer.ggml.remove_extra_whitespaces";
constexpr char kCharacterMapKey[] = "tokenizer.ggml.precompiled_charsmap";

constexpr absl::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

constexpr int32_t kNone = -1;
constexpr uint32_t kNoToken = UINT32_MAX;

// The byte that <0xNN> spells.
std::optional<uint8_t> SpelledByte(absl::string_view spelling) {
  uint32_t byte = 0;
  if (spelling.size() != 6 || !absl::StartsWith(spelling, "<0x") || spelling.back() != '>' ||
      !absl::SimpleHexAtoi(spelling.substr(3, 2), &byte)) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(byte);
}

std::string BytesOf(const Vocabulary& vocabulary, uint32_t id) {
  const std::string& spelling = vocabulary.spelling(id);
  if (vocabulary.IsSpecial(id)) return spelling;
  if (const auto byte = SpelledByte(spelling); byte.has_value() && vocabulary.types[id] == TokenType::kByte) {
    return std::string(1, static_cast<char>(*byte));
  }
  return absl::StrReplaceAll(spelling, {{kSpaceMark, " "}});
}

absl::StatusOr<bool> OptionalBool(const GgufFile& file, absl::string_view key, bool otherwise) {
  if (!file.Has(key)) return otherwise;
  return file.GetBool(key);
}

}  // namespace

// The characters of one text, and what they have merged into.
class SentencePieceEncoder::Word {
 public:
  Word(const SentencePieceEncoder* encoder, absl::string_view text) : encoder_(encoder) {
    if (text.empty()) return;
    spelling_.reserve(text.size() + kSpaceMark.size());
    std::vector<std::pair<uint32_t, size_t>> characters;  // place in spelling_, and in the text
    const auto add = [&](absl::string_view character, size_t begin) {
      characters.emplace_back(static_cast<uint32_t>(spelling_.size()), begin);
      absl::StrAppend(&spelling_, character);
    };
    if (encoder->adds_space_) add(kSpaceMark, 0);
    for (size_t begin = 0; begin < text.size();) {
      const size_t length = ReadUtf8(text.substr(begin)).length;
      const absl::string_view character = text.substr(begin, length);
      add(character == " " ? kSpaceMark : character, begin);
      begin += length;
    }
    for (size_t i = 0; i < characters.size();) {
      const auto [place, begin] = characters[i++];
      const std::optional<TokenSpan> found = encoder->user_defined_.FindAt(spelling_, place);
      while (found.has_value() && i < characters.size() && characters[i].first < found->end) ++i;
      const size_t end = i < characters.size() ? characters[i].first : spelling_.size();
      AddSymbol(place, static_cast<uint32_t>(end - place), begin, found.has_value() ? found->id : kNoToken);
    }
  }

  void Merge() {
    for (size_t i = 0; i + 1 < symbols_.size(); ++i) Push(static_cast<int32_t>(i));
    while (!candidates_.empty()) {
      const Candidate candidate = candidates_.top();
      candidates_.pop();
      Symbol& symbol = symbols_[candidate.left];
      if (symbol.size == 0 || symbol.next == kNone) continue;
      Symbol& absorbed = symbols_[symbol.next];
      if (symbol.size + absorbed.size != candidate.size) continue;
      symbol.size = candidate.size;
      symbol.next = absorbed.next;
      absorbed.size = 0;
      if (symbol.next != kNone) symbols_[symbol.next].previous = candidate.left;
      Push(symbol.previous);
      Push(candidate.left);
    }
  }

  void Emit(std::vector<TextToken>* out) const {
    for (int32_t i = symbols_.empty() ? kNone : 0; i != kNone; i = symbols_[i].next) {
      EmitPiece(i, absl::string_view(spelling_).substr(symbols_[i].place, symbols_[i].size), out);
    }
  }

 private:
  struct Symbol {
    uint32_t place;  // of its spelling
    uint32_t size;   // 0: became part of the symbol on its left
    size_t begin;    // in the text
    uint32_t token;  // the user-defined one that it is, or kNoToken
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    float score;
    int32_t left;
    uint32_t size;  // of both symbols

    // std::priority_queue gives the largest first.
    friend bool operator<(const Candidate& a, const Candidate& b) {
      return a.score != b.score ? a.score < b.score : a.left > b.left;
    }
  };

  void AddSymbol(uint32_t place, uint32_t size, size_t begin, uint32_t token) {
    const int32_t index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({place, size, begin, token, index - 1, kNone});
  }

  void Push(int32_t left) {
    if (left == kNone || symbols_[left].next == kNone) return;
    const Symbol& symbol = symbols_[left];
    const Symbol& next = symbols_[symbol.next];
    if (symbol.token != kNoToken || next.token != kNoToken) return;
    const uint32_t size = symbol.size + next.size;
    const Piece* piece = encoder_->Find(absl::string_view(spelling_).substr(symbol.place, size));
    if (piece == nullptr) return;
    candidates_.push({piece->score, left, size});
    if (piece->unused) halves_[piece->id] = symbol.size;
  }

  // `index`: the first symbol of the piece.
  void EmitPiece(int32_t index, absl::string_view spelling, std::vector<TextToken>* out) const {
    const Symbol& symbol = symbols_[index];
    if (symbol.token != kNoToken) {
      out->push_back({symbol.token, symbol.begin});
    } else if (const Piece* piece = encoder_->Find(spelling); piece != nullptr) {
      const auto half = halves_.find(piece->id);
      if (!piece->unused || half == halves_.end()) {
        out->push_back({piece->id, symbol.begin});
        return;
      }
      EmitPiece(index, spelling.substr(0, half->second), out);
      const uint32_t place = static_cast<uint32_t>(spelling.data() - spelling_.data()) + half->second;
      const auto right = std::lower_bound(symbols_.begin() + index, symbols_.end(), place,
                                          [](const Symbol& a, uint32_t b) { return a.place < b; });
      EmitPiece(static_cast<int32_t>(right - symbols_.begin()), spelling.substr(half->second), out);
    } else if (encoder_->has_bytes_) {
      for (const char byte : spelling) out->push_back({encoder_->byte_ids_[static_cast<uint8_t>(byte)], symbol.begin});
    } else if (out->empty() || out->back().id != encoder_->unknown_id_) {
      out->push_back({encoder_->unknown_id_, symbol.begin});  // one for all unknown characters in a row
    }
  }

  const SentencePieceEncoder* const encoder_;
  std::string spelling_;  // the text as pieces spell it
  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate> candidates_;
  absl::flat_hash_map<uint32_t, uint32_t> halves_;  // of an unused piece: bytes of the left one of the two that made it
};

absl::StatusOr<std::unique_ptr<const SentencePieceEncoder>> SentencePieceEncoder::Create(const GgufFile& file,
                                                                                         const Vocabulary& vocabulary) {
  if (file.Has(kCharacterMapKey)) {
    return absl::UnimplementedError(
        absl::StrCat(file.name(), ": ", kCharacterMapKey, " is not supported; supported is its absence"));
  }
  KEDGE_ASSIGN_OR_RETURN(const bool removes_spaces, OptionalBool(file, kRemoveSpacesKey, false));
  if (removes_spaces) {
    return absl::UnimplementedError(
        absl::StrCat(file.name(), ": ", kRemoveSpacesKey, ": true is not supported; supported is: false"));
  }
  std::unique_ptr<SentencePieceEncoder> encoder(new SentencePieceEncoder());
  KEDGE_ASSIGN_OR_RETURN(encoder->adds_space_, OptionalBool(file, kAddSpaceKey, true));
  for (uint32_t id = 0; id < vocabulary.size(); ++id) encoder->bytes_.push_back(BytesOf(vocabulary, id));
  KEDGE_RETURN_IF_ERROR(encoder->LoadPieces(file, vocabulary));
  KEDGE_RETURN_IF_ERROR(encoder->LoadFallback(file, vocabulary));
  return std::unique_ptr<const SentencePieceEncoder>(std::move(encoder));
}

absl::Status SentencePieceEncoder::LoadPieces(const GgufFile& file, const Vocabulary& vocabulary) {
  KEDGE_ASSIGN_OR_RETURN(const std::vector<double>* const scores, file.GetFloats(kScoresKey));
  if (scores->size() != vocabulary.size()) {
    return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kScoresKey, ": has ", scores->size(),
                                                   " values for ", vocabulary.size(), " tokens"));
  }
  std::vector<std::pair<std::string, uint32_t>> user_defined;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    const double score = (*scores)[id];
    if (!std::isfinite(score)) {
      return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kScoresKey, "[", id, "]: is ", score));
    }
    // Converters write the spaces of such a token in either way.
    if (vocabulary.IsUserDefined(id)) {
      user_defined.emplace_back(absl::StrReplaceAll(vocabulary.spelling(id), {{" ", kSpaceMark}}), id);
      longest_text_ = std::max(longest_text_, user_defined.back().first.size());
    }
    const TokenType type = vocabulary.types[id];
    if (type != TokenType::kNormal && type != TokenType::kUnused) continue;
    const std::string& spelling = vocabulary.spelling(id);
    pieces_.try_emplace(spelling, Piece{id, static_cast<float>(score), type == TokenType::kUnused});
    longest_piece_ = std::max(longest_piece_, spelling.size());
  }
  longest_text_ = std::max(longest_text_, longest_piece_);
  user_defined_ = TokenMatcher(std::move(user_defined));
  return absl::OkStatus();
}

// What stands for characters that are no piece: their bytes, or else the unknown token.
absl::Status SentencePieceEncoder::LoadFallback(const GgufFile& file, const Vocabulary& vocabulary) {
  std::array<bool, 256> found = {};
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.types[id] != TokenType::kByte) continue;
    const std::optional<uint8_t> byte = SpelledByte(vocabulary.spelling(id));
    if (!byte.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kTokensKey, "[", id, "]: '",
                                                     vocabulary.spelling(id), "' is a byte token, but not <0xNN>"));
    }
    has_bytes_ = true;
    found[*byte] = true;
    byte_ids_[*byte] = id;
  }
  if (has_bytes_) {
    const size_t missing = static_cast<size_t>(std::find(found.begin(), found.end(), false) - found.begin());
    if (missing == found.size()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(file.name(), ": ", kTokensKey, ": has byte tokens, but none for ", missing));
  }
  KEDGE_ASSIGN_OR_RETURN(std::optional<uint32_t> unknown, ReadTokenId(file, kUnknownKey, vocabulary.size()));
  for (uint32_t id = 0; id < vocabulary.size() && !unknown.has_value(); ++id) {
    if (vocabulary.types[id] == TokenType::kUnknown) unknown = id;
  }
  if (!unknown.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name(), ": ", kUnknownKey, " is missing, and no token is of the unknown or the byte type"));
  }
  unknown_id_ = *unknown;
  return absl::OkStatus();
}

const SentencePieceEncoder::Piece* SentencePieceEncoder::Find(absl::string_view spelling) const {
  if (spelling.size() > longest_piece_) return nullptr;
  const auto found = pieces_.find(spelling);
  return found == pieces_.end() ? nullptr : &found->second;
}

absl::Status SentencePieceEncoder::Encode(absl::string_view text, std::vector<TextToken>* out) const {
  Word word(this, text);
  word.Merge();
  word.Emit(out);
  return absl::OkStatus();
}

}  // namespace kedge
