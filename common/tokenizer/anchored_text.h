// Text with an anchor token between its sentences, as models with a token of their own for it (AnLLM-AC) have it.
#ifndef KEDGE_COMMON_TOKENIZER_ANCHORED_TEXT_H_
#define KEDGE_COMMON_TOKENIZER_ANCHORED_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// The pieces of `text` between the byte offsets `places`, without the white space on either side of each place; one
// piece more than places. The tokenizer that such models were trained with takes that white space away, line feeds
// included. REQUIRES: places ascend and lie on characters of text, which is valid UTF-8.
std::vector<absl::string_view> CutAtPlaces(absl::string_view text, absl::Span<const size_t> places);

// The tokens of the pieces with `anchor` between each two. Each piece is encoded as a text of its own.
absl::StatusOr<std::vector<uint32_t>> EncodeWithAnchors(const Tokenizer& tokenizer,
                                                        absl::Span<const absl::string_view> pieces, uint32_t anchor);

// A prompt of plain text: the token that begins every prompt, if the tokenizer has one (bos_to_add), and the text with
// `anchor` at `places`. REQUIRES: as CutAtPlaces; without places the text may be anything, and `anchor` is not used.
absl::StatusOr<std::vector<uint32_t>> EncodePrompt(const Tokenizer& tokenizer, absl::string_view text,
                                                   absl::Span<const size_t> places = {}, uint32_t anchor = 0);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_ANCHORED_TEXT_H_
