// Tested by anchored_text_test.cc.
#include "common/tokenizer/anchored_text.h"

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace kedge {

std::vector<absl::string_view> CutAtPlaces(absl::string_view text, absl::Span<const size_t> places) {
  std::vector<absl::string_view> pieces;
  size_t begin = 0;
  for (const size_t place : places) {
    KEDGE_CHECK(begin <= place && place <= text.size());
    const absl::string_view piece = text.substr(begin, place - begin);
    pieces.push_back(StripWhiteSpaceRight(pieces.empty() ? piece : StripWhiteSpaceLeft(piece)));
    begin = place;
  }
  const absl::string_view last = text.substr(begin);
  pieces.push_back(pieces.empty() ? last : StripWhiteSpaceLeft(last));
  return pieces;
}

absl::StatusOr<std::vector<uint32_t>> EncodeWithAnchors(const Tokenizer& tokenizer,
                                                        absl::Span<const absl::string_view> pieces, uint32_t anchor) {
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0) ids.push_back(anchor);
    if (pieces[i].empty()) continue;
    KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> piece_ids, tokenizer.Encode(pieces[i]));
    ids.insert(ids.end(), piece_ids.begin(), piece_ids.end());
  }
  return ids;
}

absl::StatusOr<std::vector<uint32_t>> EncodePrompt(const Tokenizer& tokenizer, absl::string_view text,
                                                   absl::Span<const size_t> places, uint32_t anchor) {
  KEDGE_ASSIGN_OR_RETURN(std::vector<uint32_t> ids, EncodeWithAnchors(tokenizer, CutAtPlaces(text, places), anchor));
  if (tokenizer.bos_to_add().has_value()) ids.insert(ids.begin(), *tokenizer.bos_to_add());
  return ids;
}

}  // namespace kedge
