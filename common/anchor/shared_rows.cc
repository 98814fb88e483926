// Tested by shared_rows_test.cc.
#include "common/anchor/shared_rows.h"

#include <algorithm>

#include "common/anchor/tracker.h"
#include "common/base/check.h"

namespace kedge {
namespace {

RowBits BitsOf(const Content& content, uint32_t position) {
  return {.pinned = Contains(content.pinned, position),
          .marked = content.policy.text_anchors ? content.EndsSequence(position) : content.NoAnchor(position)};
}

}  // namespace

uint32_t SharedEnd(const Content& content, bool roles_agree) {
  const uint32_t size = static_cast<uint32_t>(content.ids.size());
  // What is written sees all that the prompt's last row saw: a state behind that row is of this prompt alone.
  if (content.policy.prefill_full || content.policy.write_full) {
    return std::min(size, std::max(content.prompt_length, 1u) - 1);
  }
  return roles_agree ? size : std::min(size, content.prompt_length);
}

Content SharedContent(const Content& content, bool roles_agree) {
  Content shared = content;
  shared.ids.resize(SharedEnd(content, roles_agree));
  if (!content.policy.prefill_full) return shared;
  return {.ids = std::move(shared.ids),
          .policy = {.recent = Policy::kAll},
          .cache_domain = std::move(shared.cache_domain)};
}

uint32_t CommonRows(const Content& a, const Content& b) {
  if (!(a.policy == b.policy) || a.cache_domain != b.cache_domain) return 0;
  const size_t size = std::min(a.ids.size(), b.ids.size());
  uint32_t end =
      static_cast<uint32_t>(std::mismatch(a.ids.begin(), a.ids.begin() + size, b.ids.begin()).first - a.ids.begin());
  if (a.pinned == b.pinned && a.no_anchor_positions == b.no_anchor_positions && a.sequence_ends == b.sequence_ends) {
    return end;
  }
  for (uint32_t position = 0; position < end; ++position) {
    if (!(BitsOf(a, position) == BitsOf(b, position))) return position;
  }
  return end;
}

std::vector<ChainKey> NamePrefixes(const Content& content, ChainRoot root, absl::Span<const uint32_t> ends) {
  root.canonical_policy = CanonicalPolicy(content.policy);
  root.cache_domain = content.cache_domain;
  Chain chain(RootKey(root));
  AnchorTracker tracker(&content);
  std::vector<ChainKey> names;
  names.reserve(ends.size());
  for (uint32_t end : ends) {
    KEDGE_CHECK(tracker.position() <= end && end <= content.ids.size());
    while (tracker.position() < end) {
      if (tracker.reduces_next()) tracker.Reduce();
      const uint32_t position = tracker.position();
      chain.Add(content.ids[position], BitsOf(content, position), tracker.Next().closes);
    }
    names.push_back(chain.Key());
  }
  return names;
}

}  // namespace kedge
