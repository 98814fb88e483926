// The SentencePiece library behind a header that sees no Abseil: its own header puts a `string_view` into the namespace
// absl, which is another type than Abseil's as Debian builds it. So this pair of files has standard types only.
#ifndef KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_LIBRARY_H_
#define KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_LIBRARY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kedge {

// Thread-safe after Load.
class SentencePieceLibrary {
 public:
  struct Piece {
    uint32_t id;
    uint32_t begin;  // in the text
  };

  SentencePieceLibrary();
  ~SentencePieceLibrary();

  // `model`: a serialized ModelProto. Returns what is wrong with it, if something is.
  std::optional<std::string> Load(std::string_view model);
  // Returns what went wrong, if something did. REQUIRES: Load returned nothing.
  std::optional<std::string> Encode(std::string_view text, std::vector<Piece>* pieces) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_SENTENCE_PIECE_LIBRARY_H_
