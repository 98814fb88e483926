// How an engine fares: what a node's heartbeat says.
#ifndef KEDGE_COMMON_ENGINE_NODE_STATS_H_
#define KEDGE_COMMON_ENGINE_NODE_STATS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace kedge {

struct NodeStats {
  uint64_t steps = 0;           // that computed rows
  uint32_t running = 0;         // requests in the engine
  uint32_t waiting = 0;         // requests that wait for rows
  uint64_t waiting_tokens = 0;  // not yet computed, of all requests here
  uint64_t reserved_rows = 0;   // by requests, held or not
  uint64_t total_rows = 0;
  uint64_t cached_rows = 0;  // held by the cache, which gives them up when requests need them
  uint64_t held_rows = 0;    // beside those: in host memory, as they came from prefill nodes
  absl::Duration work_ahead;  // of a request that comes now (node.proto, Heartbeat)
  absl::Duration token_time;  // of a token in a step full of prompt rows; zero: not measured yet
  absl::Duration full_for;    // so long everything is refused; zero: it is not
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_NODE_STATS_H_
