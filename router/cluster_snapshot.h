// What the router knows of its nodes at one moment: plain values for decisions.
#ifndef KEDGE_ROUTER_CLUSTER_SNAPSHOT_H_
#define KEDGE_ROUTER_CLUSTER_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/full_note.h"

namespace kedge {

enum class NodeRole { kPrefill, kDecode };

struct NodeSnapshot {
  std::string node_id;
  // Counts registrations: the same node after a restart has another one.
  uint64_t registration = 0;
  NodeRole role = NodeRole::kDecode;
  std::string address;
  std::string numerics_class;
  bool ready = false;
  std::string out;  // why it is out of placement, whatever its heartbeats say; then it is not ready

  // From the last heartbeat.
  uint64_t engine_steps = 0;
  uint32_t running_requests = 0;
  uint32_t waiting_requests = 0;
  uint64_t waiting_tokens = 0;
  uint64_t reserved_rows = 0;
  uint64_t cached_rows = 0;
  uint64_t held_rows = 0;
  uint64_t total_rows = 0;
  absl::Duration work_ahead;                     // before a request that comes now (node.proto)
  absl::Duration token_time;                     // of a prompt; zero: not measured yet
  absl::Time full_until = absl::InfinitePast();  // it refuses everything
  bool leaves = false;                           // soon: it takes only what has begun
  FullNote refused;                              // what it said when it last refused this router's request

  // What this router has sent there and not seen the end of; the heartbeat may not know of it yet.
  uint32_t assigned_requests = 0;
  uint64_t assigned_tokens = 0;
  uint64_t last_assigned = 0;  // number of the last one that it sent there: the less, the longer ago; 0: none
};

struct ClusterSnapshot {
  absl::Time now = absl::InfinitePast();
  std::vector<NodeSnapshot> nodes;  // by id
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_CLUSTER_SNAPSHOT_H_
