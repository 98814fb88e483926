// A byte-level vocabulary spells each token in an alphabet of 256 printable characters, one per byte (byte 0x20 is
// U+0120 and so on). Every spelling is turned back into bytes and every merge into ids, so Encode works on bytes and
// ids alone: cut the text into pieces, take each piece's bytes as tokens, merge by rank.
//
// Special and user-defined tokens take no part in this: no byte is one, and a merge that would make one is left out. So
// no text can become a special one, and user-defined ones are found by their spelling, first of all: what lies between
// them is cut as if it were a text of its own (as Hugging Face's tokenizers do with added tokens). A byte that the
// vocabulary has no token for (SmolLM2 lacks six control characters and the first bytes of unassigned planes) is left
// out before merging, as the vocabularies' own tokenizer does. Tested by tokenizer_test.cc and
// tokenizer_golden_test.cc.
#include "common/tokenizer/byte_level.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace kedge {
namespace {

constexpr char kPreKey[] = "tokenizer.ggml.pre";
constexpr char kMergesKey[] = "tokenizer.ggml.merges";

constexpr uint32_t kNoToken = UINT32_MAX;

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
std::optional<std::string> SpelledBytes(absl::string_view spelling, const std::array<int16_t, kAlphabetEnd>& alphabet) {
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

// Whether it is spelled in the alphabet and made by merges.
bool IsOrdinary(const Vocabulary& vocabulary, uint32_t id) {
  return !vocabulary.IsSpecial(id) && !vocabulary.IsUserDefined(id);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ByteLevelEncoder>> ByteLevelEncoder::Create(const GgufFile& file,
                                                                                 const Vocabulary& vocabulary) {
  KEDGE_ASSIGN_OR_RETURN(const std::string pre, file.GetString(kPreKey));
  auto pre_tokenizer = PreTokenizer::Create(pre);
  if (!pre_tokenizer.ok()) {
    return absl::Status(pre_tokenizer.status().code(),
                        absl::StrCat(file.name(), ": ", pre_tokenizer.status().message()));
  }
  std::unique_ptr<ByteLevelEncoder> encoder(new ByteLevelEncoder());
  encoder->pre_tokenizer_ = *std::move(pre_tokenizer);
  encoder->byte_ids_.fill(kNoToken);
  const std::array<int16_t, kAlphabetEnd> alphabet = MakeAlphabet();
  std::vector<std::pair<std::string, uint32_t>> user_defined;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.IsUserDefined(id)) user_defined.emplace_back(vocabulary.spelling(id), id);
    std::optional<std::string> bytes;
    if (IsOrdinary(vocabulary, id)) bytes = SpelledBytes(vocabulary.spelling(id), alphabet);
    // A spelling outside the alphabet (padding, say) never comes from text; it is shown as it stands.
    encoder->bytes_.push_back(bytes.has_value() ? *bytes : vocabulary.spelling(id));
    if (!vocabulary.IsSpecial(id)) {
      encoder->longest_text_ = std::max(encoder->longest_text_, encoder->bytes_.back().size());
    }
    if (!bytes.has_value()) continue;
    if (bytes->size() == 1) {
      uint32_t& byte_id = encoder->byte_ids_[static_cast<uint8_t>(bytes->front())];
      if (byte_id == kNoToken) byte_id = id;
    }
    if (encoder->pre_tokenizer_->takes_whole_tokens()) encoder->whole_tokens_.try_emplace(*std::move(bytes), id);
  }
  encoder->user_defined_ = TokenMatcher(std::move(user_defined));
  KEDGE_RETURN_IF_ERROR(encoder->LoadMerges(file, vocabulary));
  return std::unique_ptr<const ByteLevelEncoder>(std::move(encoder));
}

absl::Status ByteLevelEncoder::LoadMerges(const GgufFile& file, const Vocabulary& vocabulary) {
  absl::flat_hash_map<absl::string_view, uint32_t> ordinary_ids;  // by spelling
  absl::flat_hash_map<absl::string_view, uint32_t> other_ids;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    (IsOrdinary(vocabulary, id) ? ordinary_ids : other_ids).try_emplace(vocabulary.spelling(id), id);
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
      if (!other_ids.contains(part)) {
        return absl::InvalidArgumentError(
            absl::StrCat(file.name(), ": ", kMergesKey, "[", rank, "]: '", part, "' is not a token of the vocabulary"));
      }
      all_ordinary = false;
    }
    if (all_ordinary) merges_.Add(ordinary_ids[left], ordinary_ids[right], ordinary_ids[product]);
  }
  return absl::OkStatus();
}

absl::Status ByteLevelEncoder::Encode(absl::string_view text, std::vector<TextToken>* out) const {
  size_t begin = 0;
  while (const std::optional<TokenSpan> found = user_defined_.Find(text, begin)) {
    KEDGE_RETURN_IF_ERROR(EncodeBetween(text, begin, found->begin, out));
    out->push_back({found->id, found->begin});
    begin = found->end;
  }
  return EncodeBetween(text, begin, text.size(), out);
}

absl::Status ByteLevelEncoder::EncodeBetween(absl::string_view text, size_t begin, size_t end,
                                             std::vector<TextToken>* out) const {
  std::vector<uint32_t> word;   // the ids of a piece's bytes
  std::vector<size_t> offsets;  // of those bytes in the text
  std::vector<uint32_t> merged;
  return pre_tokenizer_->Split(text.substr(begin, end - begin), [&](absl::string_view piece) {
    const size_t begin = static_cast<size_t>(piece.data() - text.data());
    if (const auto whole = whole_tokens_.find(piece); whole != whole_tokens_.end()) {
      out->push_back({whole->second, begin});
      return;
    }
    word.clear();
    offsets.clear();
    merged.clear();
    for (size_t i = 0; i < piece.size(); ++i) {
      const uint32_t id = byte_ids_[static_cast<uint8_t>(piece[i])];
      if (id == kNoToken) continue;
      word.push_back(id);
      offsets.push_back(begin + i);
    }
    merges_.Apply(word, &merged);
    size_t used = 0;
    for (const uint32_t id : merged) {
      out->push_back({id, offsets[used]});
      used += bytes_[id].size();
    }
  });
}

}  // namespace kedge
