// The rows of a prompt's beginning, computed once and kept on the host, from which any number of sequences go on.
#ifndef KEDGE_EVAL_PREFIX_H_
#define KEDGE_EVAL_PREFIX_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"

namespace kedge {

// State(end) of one content, as bytes in the order of a frame. `end` 0: nothing.
struct PrefixState {
  uint32_t end = 0;
  std::vector<uint8_t> rows;
};

// Computes rows of `content` in steps of the device's size and reads State(end) out for each of `ends` (ascending, each
// at most ids.size()).
absl::StatusOr<std::vector<PrefixState>> ComputePrefix(const Content& content, absl::Span<const uint32_t> ends,
                                                       StepDevice* device);

// A sequence over `content` that goes on from `state`, with room for `max_new` more ids. The first state.end ids, and
// what the policy makes of them, are those that the state was computed with. kResourceExhausted: the pool has too few
// pages left; nothing was taken.
absl::StatusOr<std::unique_ptr<Sequence>> GoOnFrom(const PrefixState& state, Content content, uint32_t max_new,
                                                   PagePool* pool, StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_EVAL_PREFIX_H_
