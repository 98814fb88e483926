// A byte-level vocabulary spells each token in an alphabet of 256 printable characters, one per byte (byte 0x20 is
// U+0120 and so on). Load turns every spelling back into bytes and every merge into ids, so Encode works on bytes and
// ids alone: cut the text into pieces, take each piece's bytes as tokens, merge by rank.
//
// Special tokens take no part in this: no byte is one, and a merge that would make one is left out. So no text can
// become one. A byte that the vocabulary has no token for (SmolLM2 lacks six control characters and the first bytes
// of unassigned planes) is left out before merging, as the vocabularies' own tokenizer does.
// Tested by tokenizer_test.cc and tokenizer_golden_test.cc.
#include "common/tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/tokenizer/bpe.h"
#include "common/tokenizer/pre_tokenizer.h"
#include "common/tokenizer/utf8.h"

namespace kedge {
namespace {

constexpr char kModelKey[] = "tokenizer.ggml.model";
constexpr char kPreKey[] = "tokenizer.ggml.pre";
constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
constexpr char kTypesKey[] = "tokenizer.ggml.token_type";
constexpr char kMergesKey[] = "tokenizer.ggml.merges";
constexpr char kAddBosKey[] = "tokenizer.ggml.add_bos_token";
constexpr char kBosKey[] = "tokenizer.ggml.bos_token_id";
constexpr char kEosKey[] = "tokenizer.ggml.eos_token_id";
constexpr char kEotKey[] = "tokenizer.ggml.eot_token_id";

// Values of tokenizer.ggml.token_type that are not ordinary text.
constexpr int64_t kControl = 3;
constexpr int64_t kUserDefined = 4;

constexpr uint32_t kNoToken = UINT32_MAX;

// Tokens that end an answer or a text in well-known vocabularies, whatever the metadata say of them.
constexpr absl::string_view kEndSpellings[] = {"<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "</s>"};

// The alphabet's characters are below this code point.
constexpr uint32_t kAlphabetEnd = 0x100 + 68;

// Byte for each code point of the alphabet; -1 for others. Bytes that print stand for themselves; the 68 others take
// the code points from U+0100 on, in order.
std::array<int16_t, kAlphabetEnd> MakeAlphabet() {
  std::array<int16_t, kAlphabetEnd> alphabet;
  alphabet.fill(-1);
  uint32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    alphabet[prints ? static_cast<uint32_t>(byte) : next++] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

// The bytes that `spelling` stands for; nullopt if it has a character outside the alphabet.
std::optional<std::string> SpelledBytes(absl::string_view spelling,
                                        const std::array<int16_t, kAlphabetEnd>& alphabet) {
  std::string bytes;
  while (!spelling.empty()) {
    const Utf8Head head = ReadUtf8(spelling);
    // The alphabet lies below U+0800.
    if (head.kind != Utf8Head::Kind::kCharacter || head.length > 2) return std::nullopt;
    uint32_t code_point = static_cast<uint8_t>(spelling[0]);
    if (head.length == 2) code_point = (code_point & 0x1F) << 6 | (static_cast<uint8_t>(spelling[1]) & 0x3F);
    if (code_point >= kAlphabetEnd || alphabet[code_point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(alphabet[code_point]));
    spelling.remove_prefix(head.length);
  }
  return bytes;
}

// The token id under `key`; nullopt if the file has no such key.
absl::StatusOr<std::optional<uint32_t>> ReadId(const GgufFile& file, absl::string_view key, size_t vocab_size) {
  if (!file.Has(key)) return std::nullopt;
  KEDGE_ASSIGN_OR_RETURN(const int64_t id, file.GetInt(key));
  if (id < 0 || static_cast<uint64_t>(id) >= vocab_size) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name(), ": ", key, ": ", id, " is no token id; the vocabulary has ", vocab_size, " tokens"));
  }
  return static_cast<uint32_t>(id);
}

}  // namespace

struct Tokenizer::Impl {
  std::vector<std::string> bytes;  // by id; a special token's spelling
  std::vector<bool> special;       // by id
  absl::flat_hash_map<std::string, uint32_t> special_ids;
  std::array<uint32_t, 256> byte_ids;  // kNoToken where the vocabulary lacks the byte
  BpeMerges merges;
  std::unique_ptr<const PreTokenizer> pre_tokenizer;
  std::vector<uint32_t> end_ids;
  std::optional<uint32_t> bos_to_add;

  absl::Status LoadVocabulary(const GgufFile& file);
  absl::Status LoadEnds(const GgufFile& file);
};

// Reads tokens, their types and the merges.
absl::Status Tokenizer::Impl::LoadVocabulary(const GgufFile& file) {
  KEDGE_ASSIGN_OR_RETURN(const std::vector<std::string>* const tokens, file.GetStrings(kTokensKey));
  if (tokens->empty() || tokens->size() >= kNoToken) {
    return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kTokensKey, ": has ", tokens->size(), " tokens"));
  }
  const std::vector<int64_t>* types = nullptr;
  if (file.Has(kTypesKey)) {
    KEDGE_ASSIGN_OR_RETURN(types, file.GetInts(kTypesKey));
    if (types->size() != tokens->size()) {
      return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kTypesKey, ": has ", types->size(),
                                                     " values for ", tokens->size(), " tokens"));
    }
  }

  const std::array<int16_t, kAlphabetEnd> alphabet = MakeAlphabet();
  absl::flat_hash_map<absl::string_view, uint32_t> ordinary_ids;  // by spelling
  bytes.reserve(tokens->size());
  special.reserve(tokens->size());
  byte_ids.fill(kNoToken);
  for (uint32_t id = 0; id < tokens->size(); ++id) {
    const std::string& spelling = (*tokens)[id];
    special.push_back(types != nullptr && ((*types)[id] == kControl || (*types)[id] == kUserDefined));
    if (special.back()) {
      special_ids.try_emplace(spelling, id);
      bytes.push_back(spelling);
      continue;
    }
    ordinary_ids.try_emplace(spelling, id);
    std::optional<std::string> spelled = SpelledBytes(spelling, alphabet);
    if (spelled.has_value() && spelled->size() == 1) {
      uint32_t& byte_id = byte_ids[static_cast<uint8_t>(spelled->front())];
      if (byte_id == kNoToken) byte_id = id;
    }
    // A spelling outside the alphabet (padding, say) never comes from text; it is shown as it stands.
    bytes.push_back(spelled.has_value() ? *std::move(spelled) : spelling);
  }

  KEDGE_ASSIGN_OR_RETURN(const std::vector<std::string>* const merge_lines, file.GetStrings(kMergesKey));
  for (size_t rank = 0; rank < merge_lines->size(); ++rank) {
    const absl::string_view line = (*merge_lines)[rank];
    // From 1: a part has at least one character, and no part of a byte-level merge has a space.
    const size_t space = line.find(' ', 1);
    if (space == absl::string_view::npos || space + 1 == line.size()) {
      return absl::InvalidArgumentError(absl::StrCat(file.name(), ": ", kMergesKey, "[", rank, "]: '", line,
                                                     "' is not two parts with a space between"));
    }
    const absl::string_view left = line.substr(0, space);
    const absl::string_view right = line.substr(space + 1);
    const std::string product = absl::StrCat(left, right);
    bool all_ordinary = true;
    for (absl::string_view part : {left, right, absl::string_view(product)}) {
      if (ordinary_ids.contains(part)) continue;
      if (!special_ids.contains(part)) {
        return absl::InvalidArgumentError(
            absl::StrCat(file.name(), ": ", kMergesKey, "[", rank, "]: '", part, "' is not a token of ", kTokensKey));
      }
      all_ordinary = false;
    }
    if (all_ordinary) merges.Add(ordinary_ids[left], ordinary_ids[right], ordinary_ids[product]);
  }
  return absl::OkStatus();
}

// Reads which tokens end a generation and which one begins a text.
absl::Status Tokenizer::Impl::LoadEnds(const GgufFile& file) {
  for (const char* key : {kEosKey, kEotKey}) {
    KEDGE_ASSIGN_OR_RETURN(const std::optional<uint32_t> id, ReadId(file, key, bytes.size()));
    if (id.has_value()) end_ids.push_back(*id);
  }
  for (absl::string_view spelling : kEndSpellings) {
    if (const auto found = special_ids.find(spelling); found != special_ids.end()) end_ids.push_back(found->second);
  }
  std::sort(end_ids.begin(), end_ids.end());
  end_ids.erase(std::unique(end_ids.begin(), end_ids.end()), end_ids.end());

  if (!file.Has(kAddBosKey)) return absl::OkStatus();
  KEDGE_ASSIGN_OR_RETURN(const bool add_bos, file.GetBool(kAddBosKey));
  if (!add_bos) return absl::OkStatus();
  KEDGE_ASSIGN_OR_RETURN(bos_to_add, ReadId(file, kBosKey, bytes.size()));
  if (!bos_to_add.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name(), ": ", kAddBosKey, " is true, but ", kBosKey, " is missing"));
  }
  return absl::OkStatus();
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const GgufFile& file) {
  KEDGE_ASSIGN_OR_RETURN(const std::string model, file.GetString(kModelKey));
  if (model != "gpt2") {
    return absl::UnimplementedError(absl::StrCat(file.name(), ": ", kModelKey, ": '", model,
                                                 "' is not supported; supported is: gpt2 (byte-level BPE)"));
  }
  KEDGE_ASSIGN_OR_RETURN(const std::string pre, file.GetString(kPreKey));
  auto impl = std::make_unique<Impl>();
  auto pre_tokenizer = PreTokenizer::Create(pre);
  if (!pre_tokenizer.ok()) {
    return absl::Status(pre_tokenizer.status().code(),
                        absl::StrCat(file.name(), ": ", pre_tokenizer.status().message()));
  }
  impl->pre_tokenizer = *std::move(pre_tokenizer);
  KEDGE_RETURN_IF_ERROR(impl->LoadVocabulary(file));
  KEDGE_RETURN_IF_ERROR(impl->LoadEnds(file));
  return std::unique_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->bytes.size()); }

absl::StatusOr<std::vector<uint32_t>> Tokenizer::Encode(absl::string_view text) const {
  if (text.size() > BpeMerges::kMaxWord) {
    return absl::InvalidArgumentError(
        absl::StrCat("text: has ", text.size(), " bytes; at most ", BpeMerges::kMaxWord, " can be encoded"));
  }
  if (const std::optional<size_t> offset = FindInvalidUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat("text: not valid UTF-8 at byte ", *offset));
  }
  std::vector<uint32_t> ids;
  std::vector<uint32_t> word;
  KEDGE_RETURN_IF_ERROR(impl_->pre_tokenizer->Split(text, [&](absl::string_view piece) {
    word.clear();
    for (const char byte : piece) {
      const uint32_t id = impl_->byte_ids[static_cast<uint8_t>(byte)];
      if (id != kNoToken) word.push_back(id);
    }
    impl_->merges.Apply(word, &ids);
  }));
  return ids;
}

absl::string_view Tokenizer::TokenBytes(uint32_t id) const {
  KEDGE_CHECK(id < impl_->bytes.size());
  return impl_->bytes[id];
}

bool Tokenizer::IsSpecial(uint32_t id) const { return id < impl_->special.size() && impl_->special[id]; }

std::optional<uint32_t> Tokenizer::SpecialId(absl::string_view spelling) const {
  const auto found = impl_->special_ids.find(spelling);
  if (found == impl_->special_ids.end()) return std::nullopt;
  return found->second;
}

const std::vector<uint32_t>& Tokenizer::end_ids() const { return impl_->end_ids; }

std::optional<uint32_t> Tokenizer::bos_to_add() const { return impl_->bos_to_add; }

}  // namespace kedge
