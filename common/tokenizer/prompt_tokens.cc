// Tested by chat_template_test.cc and chat_golden_test.cc.
#include "common/tokenizer/prompt_tokens.h"

#include <algorithm>

namespace kedge {

PositionRange TokensOfBytes(absl::Span<const TextToken> tokens, size_t text_size, size_t begin, size_t end) {
  // A token without bytes of its own goes with those after it.
  const auto ends_before = [&](const TextToken& token) {
    const size_t next = &token != &tokens.back() ? (&token)[1].begin : text_size;
    return std::max(next, token.begin + 1) <= begin;
  };
  const auto first = std::partition_point(tokens.begin(), tokens.end(), ends_before);
  const auto last =
      begin < end ? std::partition_point(first, tokens.end(), [&](const TextToken& token) { return token.begin < end; })
                  : first;
  return {static_cast<uint32_t>(first - tokens.begin()), static_cast<uint32_t>(last - tokens.begin())};
}

}  // namespace kedge
