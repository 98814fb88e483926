// A client's request after it was checked: every value resolved, nothing optional that has a default.
#ifndef KEDGE_ROUTER_ROUTER_REQUEST_H_
#define KEDGE_ROUTER_ROUTER_REQUEST_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/anchor/ranges.h"
#include "router/stop_matcher.h"

namespace kedge {

struct RouterRequest {
  std::string request_id;
  std::string model;

  // What to continue.
  std::vector<uint32_t> prompt_ids;           // at least one; with one more token within the context
  std::vector<uint32_t> no_anchor_positions;  // ascending, below prompt_ids.size()
  std::vector<uint32_t> sequence_ends;        // likewise, under `anchors=text`; then there are none of the former
  std::vector<PositionRange> pinned;          // within the prompt, ascending
  uint32_t turn_begin = 0;                    // where the last message of a chat's user begins
  std::vector<PositionRange> user;            // of a chat: what its user says,
  std::vector<PositionRange> system;          // and what its system message says
  std::vector<uint32_t> question_marks;       // of `user`: tokens at which a question ends
  std::string policy;                         // canonical,
  std::string readable_policy;                // and as the answer names it
  std::string cache_domain;                   // cache_domain.h: with whose rows this request's may be shared
  bool chooses = false;  // the policy leaves a choice of salient sequences to the prompt's attention
  // The policy's inserted anchor: the model writes it between sentences, and the client does not see it.
  std::optional<uint32_t> hidden_id;

  // How to sample; ranges as in the public proto.
  float temperature = 1.0f;
  float top_p = 1.0f;
  uint32_t top_k = 0;
  float min_p = 0.0f;
  float frequency_penalty = 0.0f;
  float presence_penalty = 0.0f;
  float repetition_penalty = 1.0f;
  std::map<uint32_t, float> logit_bias;
  std::optional<uint64_t> seed;  // unset: to be drawn
  uint32_t n = 1;

  // When to stop.
  uint32_t max_tokens = 1;        // at least 1; prompt and answer together fit the context
  uint32_t min_tokens = 0;        // at most max_tokens
  std::vector<uint32_t> end_ids;  // sorted, each once
  StopStrings stop;
  bool include_stop_str_in_output = false;

  // What to return.
  bool output_text = true;
  bool output_token_ids = false;
  bool output_prompt_pieces = false;
  std::optional<uint32_t> logprobs;
  bool skip_special_tokens = true;
  uint32_t stream_interval = 1;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_ROUTER_REQUEST_H_
