// The order of texts by the words of a query: Okapi BM25.
#ifndef KEDGE_EVAL_BM25_H_
#define KEDGE_EVAL_BM25_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kedge {

// Words of a UTF-8 text: runs of ASCII letters, digits and underscores, in lower case; any other character that is no
// ASCII sign is a word of its own, as in languages without spaces.
std::vector<std::string> WordsOf(absl::string_view text);

// Numbers of `texts`, the best match first; equal ones in their order. With k1 = 1.2 and b = 0.75, idf = log(1 + (N -
// df
// + 0.5) / (df + 0.5)), each word of the query once.
std::vector<size_t> RankByBm25(absl::Span<const std::string> texts, absl::string_view query);

}  // namespace kedge

#endif  // KEDGE_EVAL_BM25_H_
