// One answer with all that is known about it, and the forms in which the tool shows it.
#ifndef KEDGE_CLI_ANSWER_H_
#define KEDGE_CLI_ANSWER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace kedge {

// A run of the prompt's tokens as text, and whether it was kept.
struct PromptPart {
  std::string text;
  bool kept = false;
};

// A plain value. Durations are on the client's clock, from the start of the call.
struct Answer {
  std::string text;
  std::vector<uint32_t> token_ids;  // without the token that ended it
  std::vector<float> logprobs;      // natural logarithms, as long as token_ids
  std::string finish_reason;        // "stop" or "length"
  std::string policy;               // in its canonical form
  uint32_t prompt_tokens = 0;
  uint32_t completion_tokens = 0;
  uint32_t kept_rows = 0;
  uint32_t held_rows = 0;      // of these, that the decode node had and that were not moved
  uint32_t adaptive_rows = 0;  // of these, that an adaptive budget granted beyond its least
  uint32_t cached_tokens = 0;  // of the prompt
  uint64_t segment_bytes = 0;
  uint64_t full_bytes = 0;
  std::vector<std::pair<uint32_t, uint32_t>> kept_ranges;  // of the prompt's tokens, half-open
  std::vector<PromptPart> prompt_pieces;                   // if asked for
  absl::Duration first_token;                              // until the first token came; the whole time if none did
  std::vector<absl::Duration> token_times;                 // when each token came; several may come at once
  absl::Duration total;
  std::string prefill_node;  // names with commas if there were several; empty: none
  std::string decode_node;
};

// One JSON object (one line, no line feed): text, token_ids, logprobs, finish_reason, policy, prompt_tokens,
// completion_tokens, cached_tokens, kept_rows, held_rows, adaptive_rows, kept_ranges, segment_bytes, full_bytes,
// ttft_ms, prefill_node, decode_node.
std::string AnswerJson(const Answer& answer);

// Lines for a human, each ending with a line feed.
std::string AnswerSummary(const Answer& answer);

// The prompt with its kept parts marked: in bold where `colours`, the rest dim (for a terminal: ForTerminal); else
// between [[ and ]].
std::string MarkedPrompt(const Answer& answer, bool colours);

// "1,234,567".
std::string WithCommas(uint64_t number);

}  // namespace kedge

#endif  // KEDGE_CLI_ANSWER_H_
