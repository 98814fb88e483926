// Stops that end no sentence: the point within 10.27 or config.yaml.
#ifndef KEDGE_COMMON_TOKENIZER_INNER_STOPS_H_
#define KEDGE_COMMON_TOKENIZER_INNER_STOPS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/policy.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// Positions whose next token goes on without a gap: the token holds no line feed and is no special one, and the next
// one neither is special nor begins with white space.
std::vector<uint32_t> FindGapless(const Tokenizer& tokenizer, absl::Span<const uint32_t> ids);

// Those of them that are anchors of `policy`. Salient sequences are whole sequences, so a value must not be cut in two:
// where a policy chooses them, these rows never act as anchors.
std::vector<uint32_t> FindInnerStops(const Tokenizer& tokenizer, const Policy& policy, absl::Span<const uint32_t> ids);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_INNER_STOPS_H_
