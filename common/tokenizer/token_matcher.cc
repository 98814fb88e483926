// The spellings are sorted, so those that go on with a text lie together: each byte of the text narrows the range. A
// spelling that ends where the range stands is its first element.
// Tested by token_matcher_test.cc.
#include "common/tokenizer/token_matcher.h"

#include <algorithm>

#include "common/base/utf8.h"

namespace kedge {

TokenMatcher::TokenMatcher(std::vector<std::pair<std::string, uint32_t>> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_,
                [](const auto& token) { return token.first.empty() || FindInvalidUtf8(token.first).has_value(); });
  const auto by_spelling = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::stable_sort(tokens_.begin(), tokens_.end(), by_spelling);
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  uint32_t index = 0;
  for (size_t byte = 0; byte < begins_.size(); ++byte) {
    while (index < tokens_.size() && static_cast<uint8_t>(tokens_[index].first[0]) < byte) ++index;
    begins_[byte] = index;
  }
}

std::optional<TokenSpan> TokenMatcher::FindAt(absl::string_view text, size_t begin) const {
  if (begin >= text.size()) return std::nullopt;
  const size_t first_byte = static_cast<uint8_t>(text[begin]);
  auto first = tokens_.begin() + begins_[first_byte];
  auto last = tokens_.begin() + begins_[first_byte + 1];
  std::optional<TokenSpan> found;
  for (size_t length = 1; first != last; ++length) {
    if (first->first.size() == length) {
      found = TokenSpan{begin, begin + length, first->second};
      ++first;
    }
    if (begin + length == text.size()) break;
    // All in the range are longer than `length`.
    const auto next = static_cast<uint8_t>(text[begin + length]);
    const auto byte = [length](const auto& token) { return static_cast<uint8_t>(token.first[length]); };
    first = std::partition_point(first, last, [&](const auto& token) { return byte(token) < next; });
    last = std::partition_point(first, last, [&](const auto& token) { return byte(token) == next; });
  }
  return found;
}

std::optional<TokenSpan> TokenMatcher::Find(absl::string_view text, size_t begin) const {
  if (tokens_.empty()) return std::nullopt;
  for (; begin < text.size(); ++begin) {
    if (const std::optional<TokenSpan> found = FindAt(text, begin)) return found;
  }
  return std::nullopt;
}

}  // namespace kedge
