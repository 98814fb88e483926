// Tested by content_test.cc.
#include "common/anchor/content.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/outline.h"
#include "common/base/status.h"

namespace kedge {

bool Content::NoAnchor(uint32_t position) const {
  return std::binary_search(no_anchor_positions.begin(), no_anchor_positions.end(), position);
}

bool Content::EndsSequence(uint32_t position) const {
  return std::binary_search(sequence_ends.begin(), sequence_ends.end(), position);
}

namespace {

// kInvalidArgument unless positions are ascending and below `end`, which is called `name`.
absl::Status CheckPositions(absl::Span<const uint32_t> positions, size_t end, absl::string_view name,
                            absl::string_view field) {
  for (size_t i = 0; i < positions.size(); ++i) {
    if (positions[i] >= end || (i > 0 && positions[i] <= positions[i - 1])) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, "[", i, "]: ", positions[i], " is out of order or not below the ", name, " ", end));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckContent(const Content& content, uint32_t vocab_size, uint32_t context_length) {
  const size_t size = content.ids.size();
  if (size == 0) return absl::InvalidArgumentError("ids: none are given");
  if (size > context_length) {
    return absl::InvalidArgumentError(
        absl::StrCat("ids: ", size, " tokens are more than the context of ", context_length));
  }
  for (size_t i = 0; i < size; ++i) {
    if (content.ids[i] >= vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("ids[", i, "]: ", content.ids[i], " is not below the vocabulary's size ", vocab_size));
    }
  }
  if (content.prompt_length > size + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt_length: ", content.prompt_length, " is more than the ", size, " ids and one more"));
  }
  KEDGE_RETURN_IF_ERROR(CheckPositions(content.no_anchor_positions, size, "number of ids", "no_anchor_positions"));
  KEDGE_RETURN_IF_ERROR(CheckPositions(content.sequence_ends, std::min<size_t>(size, content.prompt_length),
                                       "prompt's end", "sequence_ends"));
  if (content.policy.text_anchors && !content.no_anchor_positions.empty()) {
    return absl::InvalidArgumentError("no_anchor_positions: are given, and under anchors=text sequence_ends says all");
  }
  if (!content.policy.text_anchors && !content.sequence_ends.empty()) {
    return absl::InvalidArgumentError("sequence_ends: are given, and only anchors=text has a use for them");
  }
  if (content.turn_begin > 0 && content.turn_begin >= content.prompt_length) {
    return absl::InvalidArgumentError(absl::StrCat("turn_begin: ", content.turn_begin, " is not within the prompt of ",
                                                   content.prompt_length, " tokens"));
  }
  if (content.cache_domain.size() > kMaxCacheDomain) {
    return absl::InvalidArgumentError(absl::StrCat("cache_domain: has ", content.cache_domain.size(),
                                                   " bytes; at most ", kMaxCacheDomain, " are allowed"));
  }
  KEDGE_RETURN_IF_ERROR(CheckRanges(content.pinned, content.prompt_length, "pinned"));
  KEDGE_RETURN_IF_ERROR(CheckRanges(content.user, content.prompt_length, "user"));
  KEDGE_RETURN_IF_ERROR(CheckRanges(content.system, content.prompt_length, "system"));
  KEDGE_RETURN_IF_ERROR(
      CheckPositions(content.question_marks, content.prompt_length, "prompt's length", "question_marks"));
  if (!content.salient.has_value()) return absl::OkStatus();
  if (content.policy.salient_millionths == 0) {
    return absl::InvalidArgumentError("salient: is given, and the policy chooses no salient sequences");
  }
  if (content.prompt_length == 0) {
    return absl::InvalidArgumentError("salient: is given, and there is no prompt to choose from");
  }
  KEDGE_RETURN_IF_ERROR(CheckRanges(*content.salient, content.prompt_length - 1, "salient"));
  const PromptOutline outline = OutlinePrompt(content);
  uint64_t charged = 0;
  for (const PositionRange& range : *content.salient) charged += outline.Charge(range);
  if (const uint32_t budget = SalientBudget(content).most; charged > budget) {
    return absl::InvalidArgumentError(
        absl::StrCat("salient: takes ", charged, " rows; the policy grants ", budget, " of ", content.prompt_length));
  }
  return absl::OkStatus();
}

}  // namespace kedge
