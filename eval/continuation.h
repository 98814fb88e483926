// What a model makes of prompts whose beginnings are known: given texts scored, or greedy answers, several at a time.
#ifndef KEDGE_EVAL_CONTINUATION_H_
#define KEDGE_EVAL_CONTINUATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/policy.h"
#include "common/kernels/step.h"
#include "common/tokenizer/cut_strength.h"
#include "eval/prefix.h"

namespace kedge {

struct Continuation {
  std::vector<uint32_t> prompt;               // n ids
  std::vector<uint32_t> no_anchor_positions;  // of the prompt
  std::vector<CutStrength> cuts;              // of the prompt: where `anchors=text` ends its sequences
  uint32_t turn_begin = 0;                    // Content::turn_begin, user and system
  std::vector<PositionRange> user;
  std::vector<PositionRange> system;
  std::vector<uint32_t> given;                // the text that follows it; empty: a greedy answer
  uint32_t max_new = 0;                       // of a greedy answer, its end included; 0 with a given text
};

struct Continued {
  std::vector<uint32_t> ids;  // given, or chosen; the id that ended the answer included
  // [ids][vocab]: logs of the probabilities that each id was chosen by.
  std::vector<std::vector<float>> logprobs;
  // State(n-1), which a prefill node would send: rows, and bytes as a segment, headers included.
  uint64_t state_rows = 0;
  uint64_t state_bytes = 0;
};

struct ContinueOptions {
  Policy policy;
  SalienceHeads heads;            // choose salient sequences, where the policy has some
  std::vector<uint32_t> end_ids;  // sorted; end a greedy answer
  std::string fingerprint;        // of the model: part of a segment's header
  uint32_t batch = 1;             // sequences that share a step, at most
};

// Sets what the policy and the continuation say of the prompt's rows: all fields but ids and prompt_length.
void SetRows(const Continuation& continuation, const Policy& policy, Content* content);

// Continues each of `continuations`, with generated rows. All go on from `state`, whose end is at most LatestFork
// of every prompt. Where pages are short fewer share a step; kResourceExhausted if not even one has room.
absl::StatusOr<std::vector<Continued>> Continue(const PrefixState& state,
                                                absl::Span<const Continuation* const> continuations,
                                                const ContinueOptions& options, StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_EVAL_CONTINUATION_H_
