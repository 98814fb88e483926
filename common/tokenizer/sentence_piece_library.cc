// Tested by sentence_piece_test.cc.
#include "common/tokenizer/sentence_piece_library.h"

#include <sentencepiece_processor.h>

namespace kedge {
namespace {

std::optional<std::string> ErrorText(const sentencepiece::util::Status& status) {
  if (status.ok()) return std::nullopt;
  return status.error_message();
}

}  // namespace

struct SentencePieceLibrary::Impl {
  sentencepiece::SentencePieceProcessor processor;
};

SentencePieceLibrary::SentencePieceLibrary() : impl_(std::make_unique<Impl>()) {}
SentencePieceLibrary::~SentencePieceLibrary() = default;

std::optional<std::string> SentencePieceLibrary::Load(std::string_view model) {
  return ErrorText(impl_->processor.LoadFromSerializedProto(model));
}

std::optional<std::string> SentencePieceLibrary::Encode(std::string_view text, std::vector<Piece>* pieces) const {
  sentencepiece::ImmutableSentencePieceText encoded;
  if (auto error = ErrorText(impl_->processor.Encode(text, encoded.mutable_proto()))) return error;
  pieces->reserve(pieces->size() + encoded.pieces_size());
  for (const auto& piece : encoded.pieces()) pieces->push_back({piece.id(), piece.begin()});
  return std::nullopt;
}

}  // namespace kedge
