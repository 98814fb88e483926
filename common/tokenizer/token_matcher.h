// Finds tokens that a text spells literally.
#ifndef KEDGE_COMMON_TOKENIZER_TOKEN_MATCHER_H_
#define KEDGE_COMMON_TOKENIZER_TOKEN_MATCHER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace kedge {

// Bytes [begin, end) of a text, which spell a token.
struct TokenSpan {
  size_t begin;
  size_t end;
  uint32_t id;
};

// A set of spellings. Of those that begin at the same place the longest counts, as for Hugging Face's added tokens and
// for SentencePiece's user-defined symbols. Takes time linear in the text (times the longest spelling at worst).
// Thread-safe (immutable).
class TokenMatcher {
 public:
  // Of equal spellings the first counts. One that is empty or no valid UTF-8 is no text, and is never found.
  explicit TokenMatcher(std::vector<std::pair<std::string, uint32_t>> tokens = {});

  bool empty() const { return tokens_.empty(); }
  // The spelling that begins at byte `begin`.
  std::optional<TokenSpan> FindAt(absl::string_view text, size_t begin) const;
  // The first spelling that begins at byte `begin` or behind it.
  std::optional<TokenSpan> Find(absl::string_view text, size_t begin) const;

 private:
  std::vector<std::pair<std::string, uint32_t>> tokens_;  // sorted
  std::array<uint32_t, 257> begins_;  // of the spellings in tokens_ that begin with each byte, and the end of the last
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_TOKEN_MATCHER_H_
