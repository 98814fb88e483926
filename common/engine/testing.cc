#include "common/engine/testing.h"

#include <algorithm>

namespace kedge {

Policy RandomPolicy(uint32_t vocab_size, std::mt19937& random) {
  Policy policy;
  if (random() % 5 != 0) {
    const uint32_t count = 1 + random() % std::max(1u, vocab_size / 6);
    for (uint32_t i = 0; i < count; ++i) policy.anchors.push_back(random() % vocab_size);
    std::sort(policy.anchors.begin(), policy.anchors.end());
    policy.anchors.erase(std::unique(policy.anchors.begin(), policy.anchors.end()), policy.anchors.end());
    if (random() % 2) policy.longest = 1 + random() % 40;
  }
  policy.keep_anchors = random() % 4 != 0;
  policy.sinks = random() % 2 ? 0 : random() % 6;
  switch (random() % 4) {
    case 0:
      policy.recent = 0;
      break;
    case 1:
      policy.recent = 1 + random() % 8;
      break;
    case 2:
      policy.recent = 1 + random() % 100;
      break;
    case 3:
      policy.recent = random() % 4 ? 33 : Policy::kAll;
      break;
  }
  policy.view = random() % 2 ? Policy::View::kOwn : Policy::View::kAll;
  policy.prefill_full = random() % 3 == 0;
  if (policy.prefill_full && policy.has_sequences() && random() % 2) policy.salient_millionths = random() % 500000;
  policy.write_full = random() % 3 == 0;
  if (policy.write_full && policy.has_sequences() && random() % 2) {
    policy.anchors.clear();
    policy.text_anchors = true;
  }
  return policy;
}

Content RandomContent(uint32_t vocab_size, uint32_t max_tokens, std::mt19937& random) {
  Content content;
  content.policy = RandomPolicy(vocab_size, random);
  const uint32_t size = 1 + random() % max_tokens;
  const uint32_t anchor_odds = random() % 3 == 0 ? 0 : 2 + random() % 12;
  for (uint32_t i = 0; i < size; ++i) {
    const bool anchor = anchor_odds > 0 && !content.policy.anchors.empty() && random() % anchor_odds == 0;
    content.ids.push_back(anchor ? content.policy.anchors[random() % content.policy.anchors.size()]
                                 : random() % vocab_size);
    if (!content.policy.text_anchors && random() % 20 == 0) content.no_anchor_positions.push_back(i);
  }
  content.prompt_length = random() % (size + 1);
  if (content.policy.text_anchors) {
    for (uint32_t i = random() % 20; i < content.prompt_length; i += 1 + random() % 30) {
      content.sequence_ends.push_back(i);
    }
  }
  if (content.prompt_length > 0) content.turn_begin = random() % content.prompt_length;
  for (uint32_t begin = random() % 200; begin < content.prompt_length; begin += 1 + random() % 200) {
    content.pinned.push_back({begin, std::min<uint32_t>(content.prompt_length, begin + 1 + random() % 5)});
    begin = content.pinned.back().end;
  }
  return content;
}

Content RandomTurn(const Content& earlier, uint32_t vocab_size, uint32_t max_tokens, std::mt19937& random) {
  Content content = RandomContent(vocab_size, max_tokens, random);
  const uint32_t size = static_cast<uint32_t>(content.ids.size());
  const size_t common = random() % 3 ? earlier.ids.size() : random() % (earlier.ids.size() + 1);
  std::copy(earlier.ids.begin(), earlier.ids.begin() + std::min<size_t>(common, size), content.ids.begin());
  content.prompt_length = std::max<uint32_t>(content.prompt_length, size - random() % (size / 4 + 1));
  content.policy.prefill_full = true;
  return content;
}

}  // namespace kedge
