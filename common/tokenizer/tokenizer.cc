// Which encoder cuts text is decided once, by the metadata; which tokens are special and where a text ends is the same
// for all.
// Tested by tokenizer_test.cc and tokenizer_golden_test.cc.
#include "common/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/sentence_piece.h"
#include "common/tokenizer/vocabulary.h"

namespace kedge {
namespace {

constexpr char kModelKey[] = "tokenizer.ggml.model";
constexpr char kAddBosKey[] = "tokenizer.ggml.add_bos_token";
constexpr char kBosKey[] = "tokenizer.ggml.bos_token_id";
constexpr char kEosKey[] = "tokenizer.ggml.eos_token_id";
constexpr char kEotKey[] = "tokenizer.ggml.eot_token_id";
constexpr char kEomKey[] = "tokenizer.ggml.eom_token_id";
constexpr char kEosIdsKey[] = "tokenizer.ggml.eos_token_ids";  // a list, of converters that know several

// Tokens that end an answer or a text in well-known vocabularies, whatever the metadata say of them; only where they
// are control tokens: Phi-3 has </s> as text. Not here: tokens between the files of a repository (<|file_sep|>), after
// which a model goes on.
constexpr absl::string_view kEndSpellings[] = {
    "<|endoftext|>", "<|end_of_text|>",    "</s>",    "<eos>", "[EOS]",  "<｜end▁of▁sentence｜>",  // a text
    "<|im_end|>",    "<|eot_id|>",         "<|end|>", "<EOT>", "_<EOT>", "[EOT]",
    "<end_of_turn>", "<end_of_utterance>",
    "<|eom_id|>",  // a message that calls a tool
};

}  // namespace

struct Tokenizer::Impl {
  std::vector<bool> special;                               // by id
  std::vector<bool> byte;                                  // by id
  absl::flat_hash_map<std::string, uint32_t> special_ids;  // with the user-defined ones
  TokenMatcher special_matcher;                            // likewise
  std::unique_ptr<const Encoder> encoder;
  bool adds_space = false;
  bool adds_bos = false;  // where the file does not say
  std::optional<uint32_t> bos, eos;
  std::optional<uint32_t> bos_to_add;
  std::vector<uint32_t> end_ids;

  absl::Status LoadEncoder(const GgufFile& file, const Vocabulary& vocabulary);
  absl::Status LoadEnds(const GgufFile& file);
};

absl::Status Tokenizer::Impl::LoadEncoder(const GgufFile& file, const Vocabulary& vocabulary) {
  KEDGE_ASSIGN_OR_RETURN(const std::string model, file.GetString(kModelKey));
  if (model == "gpt2") {
    KEDGE_ASSIGN_OR_RETURN(auto byte_level, ByteLevelEncoder::Create(file, vocabulary));
    adds_bos = byte_level->adds_bos();
    encoder = std::move(byte_level);
    return absl::OkStatus();
  }
  if (model == "llama") {
    KEDGE_ASSIGN_OR_RETURN(auto sentence_piece, SentencePieceEncoder::Create(file, vocabulary));
    adds_space = sentence_piece->adds_space();
    adds_bos = true;
    encoder = std::move(sentence_piece);
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      absl::StrCat(file.name(), ": ", kModelKey, ": '", model,
                   "' is not supported; supported are: gpt2 (byte-level BPE), llama (SentencePiece)"));
}

// Reads which tokens end a generation and which one begins a text.
absl::Status Tokenizer::Impl::LoadEnds(const GgufFile& file) {
  const uint32_t vocab_size = static_cast<uint32_t>(special.size());
  KEDGE_ASSIGN_OR_RETURN(bos, ReadTokenId(file, kBosKey, vocab_size));
  KEDGE_ASSIGN_OR_RETURN(eos, ReadTokenId(file, kEosKey, vocab_size));
  if (eos.has_value()) end_ids.push_back(*eos);
  for (const char* key : {kEotKey, kEomKey}) {
    KEDGE_ASSIGN_OR_RETURN(const std::optional<uint32_t> id, ReadTokenId(file, key, vocab_size));
    if (id.has_value()) end_ids.push_back(*id);
  }
  KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> more, ReadTokenIds(file, kEosIdsKey, vocab_size));
  end_ids.insert(end_ids.end(), more.begin(), more.end());
  for (absl::string_view spelling : kEndSpellings) {
    const auto found = special_ids.find(spelling);
    if (found != special_ids.end() && special[found->second]) end_ids.push_back(found->second);
  }
  std::sort(end_ids.begin(), end_ids.end());
  end_ids.erase(std::unique(end_ids.begin(), end_ids.end()), end_ids.end());

  if (!file.Has(kAddBosKey)) {
    if (adds_bos) bos_to_add = bos;
    return absl::OkStatus();
  }
  KEDGE_ASSIGN_OR_RETURN(const bool add_bos, file.GetBool(kAddBosKey));
  if (!add_bos) return absl::OkStatus();
  if (!bos.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name(), ": ", kAddBosKey, " is true, but ", kBosKey, " is missing"));
  }
  bos_to_add = bos;
  return absl::OkStatus();
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const GgufFile& file) {
  auto impl = std::make_unique<Impl>();
  KEDGE_ASSIGN_OR_RETURN(const Vocabulary vocabulary, ReadVocabulary(file));
  KEDGE_RETURN_IF_ERROR(impl->LoadEncoder(file, vocabulary));
  std::vector<std::pair<std::string, uint32_t>> matched;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    impl->special.push_back(vocabulary.IsSpecial(id));
    impl->byte.push_back(vocabulary.types[id] == TokenType::kByte);
    if (!vocabulary.IsSpecial(id) && !vocabulary.IsUserDefined(id)) continue;
    impl->special_ids.try_emplace(vocabulary.spelling(id), id);
    matched.emplace_back(impl->encoder->TokenBytes(id), id);
  }
  impl->special_matcher = TokenMatcher(std::move(matched));
  KEDGE_RETURN_IF_ERROR(impl->LoadEnds(file));
  return std::unique_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->special.size()); }

absl::StatusOr<std::vector<TextToken>> Tokenizer::EncodeWithOffsets(absl::string_view text) const {
  if (text.size() > Encoder::kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("text: has ", text.size(), " bytes; at most ", Encoder::kMaxTextBytes, " can be encoded"));
  }
  if (const std::optional<size_t> offset = FindInvalidUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat("text: not valid UTF-8 at byte ", *offset));
  }
  std::vector<TextToken> tokens;
  KEDGE_RETURN_IF_ERROR(impl_->encoder->Encode(text, &tokens));
  return tokens;
}

absl::StatusOr<std::vector<uint32_t>> Tokenizer::Encode(absl::string_view text) const {
  KEDGE_ASSIGN_OR_RETURN(const std::vector<TextToken> tokens, EncodeWithOffsets(text));
  std::vector<uint32_t> ids;
  ids.reserve(tokens.size());
  for (const TextToken& token : tokens) ids.push_back(token.id);
  return ids;
}

bool Tokenizer::adds_space() const { return impl_->adds_space; }

absl::string_view Tokenizer::TokenBytes(uint32_t id) const {
  KEDGE_CHECK(id < impl_->special.size());
  return impl_->encoder->TokenBytes(id);
}

size_t Tokenizer::longest_text() const { return impl_->encoder->longest_text(); }

bool Tokenizer::IsSpecial(uint32_t id) const { return id < impl_->special.size() && impl_->special[id]; }

bool Tokenizer::IsByte(uint32_t id) const { return id < impl_->byte.size() && impl_->byte[id]; }

std::optional<uint32_t> Tokenizer::SpecialId(absl::string_view spelling) const {
  const auto found = impl_->special_ids.find(spelling);
  if (found == impl_->special_ids.end()) return std::nullopt;
  return found->second;
}

std::optional<SpecialSpan> Tokenizer::FindSpecial(absl::string_view text) const {
  std::optional<SpecialSpan> found = impl_->special_matcher.Find(text, 0);
  while (found.has_value() && !IsSpecial(found->id)) found = impl_->special_matcher.Find(text, found->end);
  return found;
}

const std::vector<uint32_t>& Tokenizer::end_ids() const { return impl_->end_ids; }

std::optional<uint32_t> Tokenizer::bos() const { return impl_->bos; }

std::optional<uint32_t> Tokenizer::eos() const { return impl_->eos; }

std::optional<uint32_t> Tokenizer::bos_to_add() const { return impl_->bos_to_add; }

}  // namespace kedge
