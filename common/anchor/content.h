// What rows stand on: the same content gives the same rows on every node of one model and numerics class.
#ifndef KEDGE_COMMON_ANCHOR_CONTENT_H_
#define KEDGE_COMMON_ANCHOR_CONTENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/anchor/policy.h"
#include "common/anchor/ranges.h"

namespace kedge {

inline constexpr size_t kMaxCacheDomain = 32;

struct Content {
  std::vector<uint32_t> ids;
  // n: rows from here on have the generated role. May be ids.size() + 1, in a request for State(n-1).
  uint32_t prompt_length = 0;
  std::vector<uint32_t> no_anchor_positions;  // rows that never act as anchors, ascending; not under `anchors=text`
  // Under `anchors=text`, rows of the prompt that close its sequences, ascending.
  std::vector<uint32_t> sequence_ends;
  std::vector<PositionRange> pinned;  // rows of the prompt that are kept whatever the policy says
  // Where the last message of a chat's user begins: a question may stand there. 0: no chat, whose template would stand
  // before it.
  uint32_t turn_begin = 0;
  // Of a chat, tokens of the prompt, ascending: what its user says, which alone asks, if anything; and what its system
  // message says.
  std::vector<PositionRange> user;
  std::vector<PositionRange> system;
  std::vector<uint32_t> question_marks;  // tokens of `user` at which a question ends, ascending
  Policy policy;
  // Under `salient`: the sequences that were chosen for this request (salience.h), once they have been. A choice is
  // made once and travels with the request: whoever goes on with it keeps the same rows.
  std::optional<std::vector<PositionRange>> salient;
  // Whose rows these are: contents of two domains share none, though the rows would be the same. At most
  // kMaxCacheDomain bytes. Names of rows (shared_rows.h) and CommonRows take it from here, so no cache can forget it.
  std::string cache_domain;

  bool NoAnchor(uint32_t position) const;
  bool EndsSequence(uint32_t position) const;
  // Salient sequences are still to be chosen: when the prompt's rows but the last have been computed.
  bool NeedsChoice() const { return policy.salient_millionths > 0 && prompt_length >= 2 && !salient.has_value(); }
};

// kInvalidArgument names the field and the value: no ids, an id that is not below `vocab_size`, more ids than
// `context_length`, a prompt longer than the ids and one more, positions or ranges out of order or out of bounds,
// positions that the policy has no use for, a cache domain that is too long, a salient choice under a policy that makes
// none or beyond what the policy grants.
absl::Status CheckContent(const Content& content, uint32_t vocab_size, uint32_t context_length);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_CONTENT_H_
