// Formatting only.
//
// Tested by answer_test.cc.
#include "cli/answer.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/anchor/policy.h"
#include "common/base/utf8.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

// For reading: the keys that differ from their defaults, in the manner of presets, with many anchors counted.
std::string ShortPolicy(const std::string& policy) {
  constexpr size_t kMostAnchors = 4;
  const std::string default_policy = CanonicalPolicy(Policy());
  const std::set<absl::string_view> defaults = absl::StrSplit(default_policy, ',');
  std::vector<std::string> words;
  for (absl::string_view word : absl::StrSplit(policy, ',')) {
    if (defaults.contains(word)) continue;
    const size_t anchors = static_cast<size_t>(std::count(word.begin(), word.end(), '+')) + 1;
    words.push_back(anchors > kMostAnchors ? absl::StrCat("anchors=", anchors, " tokens") : std::string(word));
  }
  return words.empty() ? "none" : absl::StrJoin(words, ",");
}

}  // namespace

std::string AnswerJson(const Answer& answer) {
  nlohmann::ordered_json json;
  json["text"] = answer.text;
  json["token_ids"] = answer.token_ids;
  json["logprobs"] = answer.logprobs;
  json["finish_reason"] = answer.finish_reason;
  json["policy"] = answer.policy;
  json["prompt_tokens"] = answer.prompt_tokens;
  json["completion_tokens"] = answer.completion_tokens;
  json["cached_tokens"] = answer.cached_tokens;
  json["kept_rows"] = answer.kept_rows;
  json["held_rows"] = answer.held_rows;
  json["adaptive_rows"] = answer.adaptive_rows;
  json["kept_ranges"] = answer.kept_ranges;
  json["segment_bytes"] = answer.segment_bytes;
  json["full_bytes"] = answer.full_bytes;
  json["ttft_ms"] = absl::ToDoubleMilliseconds(answer.first_token);
  json["prefill_node"] = answer.prefill_node;
  json["decode_node"] = answer.decode_node;
  return json.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string WithCommas(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (size_t behind = 3; behind < digits.size(); behind += 4) digits.insert(digits.size() - behind, 1, ',');
  return digits;
}

std::string AnswerSummary(const Answer& answer) {
  std::string summary = absl::StrFormat("  tokens   %u prompt", answer.prompt_tokens);
  if (answer.cached_tokens > 0) absl::StrAppendFormat(&summary, " (%u of them from a cache)", answer.cached_tokens);
  absl::StrAppendFormat(&summary, ", %u output (%s)\n", answer.completion_tokens, answer.finish_reason);
  if (!answer.policy.empty()) absl::StrAppend(&summary, "  policy   ", ShortPolicy(answer.policy), "\n");
  absl::StrAppendFormat(&summary, "  rows     %u kept of %u", answer.kept_rows, answer.prompt_tokens);
  if (answer.kept_rows > 0 && answer.kept_rows + 1 < answer.prompt_tokens && !answer.kept_ranges.empty()) {
    absl::StrAppendFormat(&summary, " (%.1f %%), in %u part%s of the prompt",
                          100.0 * answer.kept_rows / answer.prompt_tokens, answer.kept_ranges.size(),
                          answer.kept_ranges.size() == 1 ? "" : "s");
  }
  if (answer.adaptive_rows > 0) {
    absl::StrAppendFormat(&summary, "; %u of them because what matters is spread", answer.adaptive_rows);
  }
  if (answer.held_rows > 0) absl::StrAppendFormat(&summary, "; %u of them the decode node had", answer.held_rows);
  summary += "\n";
  if (answer.segment_bytes > 0 && answer.full_bytes > 0) {
    absl::StrAppendFormat(&summary, "  bytes    %s moved; a full cache of such rows is %s (%.1f %%)",
                          WithCommas(answer.segment_bytes), WithCommas(answer.full_bytes),
                          100.0 * answer.segment_bytes / answer.full_bytes);
  } else {
    absl::StrAppendFormat(&summary,
                          "  bytes    none moved: the decode node %s the prompt; a full cache of such rows is %s",
                          answer.cached_tokens > 0 ? "had rows of" : "computed", WithCommas(answer.full_bytes));
  }
  absl::StrAppendFormat(&summary, "\n  time     %.3f s to the first token", absl::ToDoubleSeconds(answer.first_token));
  // The first token's time is prefill's; the others come at the decode node's pace.
  double writing = absl::ToDoubleSeconds(answer.total - answer.first_token);
  if (answer.completion_tokens > 1 && writing > 0) {
    absl::StrAppendFormat(&summary, ", then %.1f tokens/s", (answer.completion_tokens - 1) / writing);
  }
  absl::StrAppendFormat(&summary, "\n  nodes    prefill %s, decode %s\n",
                        answer.prefill_node.empty() ? "none" : answer.prefill_node,
                        answer.decode_node.empty() ? "none" : answer.decode_node);
  return summary;
}

std::string MarkedPrompt(const Answer& answer, bool colours) {
  std::string marked;
  for (const PromptPart& part : answer.prompt_pieces) {
    if (colours) {
      absl::StrAppend(&marked, part.kept ? "\x1b[1m" : "\x1b[2m", ForTerminal(part.text), "\x1b[0m");
    } else {
      absl::StrAppend(&marked, part.kept ? "[[" : "", part.text, part.kept ? "]]" : "");
    }
  }
  return marked;
}

}  // namespace kedge
