// What rows stand on: the same content gives the same rows on every node of one model and numerics class.
#ifndef KEDGE_COMMON_ANCHOR_CONTENT_H_
#define KEDGE_COMMON_ANCHOR_CONTENT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/anchor/policy.h"

namespace kedge {

struct Content {
  std::vector<uint32_t> ids;
  uint32_t prompt_length = 0;                 // rows from here on have the generated role
  std::vector<uint32_t> no_anchor_positions;  // rows that never act as anchors, ascending
  Policy policy;

  bool NoAnchor(uint32_t position) const;
  // One bit per id.
  std::vector<bool> NoAnchorBits() const;
};

// kInvalidArgument names the field and the value: no ids, an id that is not below `vocab_size`, more ids than
// `context_length`, a prompt longer than the ids, positions out of order or beyond the ids.
absl::Status CheckContent(const Content& content, uint32_t vocab_size, uint32_t context_length);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_CONTENT_H_
